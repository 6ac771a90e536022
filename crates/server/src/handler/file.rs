//! Files: who holds what, and who is introduced to whom to fetch it. No byte of a file comes here.
//!
//! What a session holds is put into the index while nobody may come or go, so that nothing is left there of
//! one that is gone. Questions are answered without holding up anybody: those that may concern many files
//! look at the index a page at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError},
};

use bytes::Bytes;
use hobnob_protocol::{
    limits::{ANSWER_BYTES_MAX, FILE_NAME_BYTES_MAX, SOURCES_MAX},
    v1::{
        self, Done, FileEntry, Files, FindHolders, Hold, HoldMore, Source, Sources, refused::Reason,
        reply::Body,
    },
};
use prost::Message;
use tokio::task::yield_now;

use crate::{
    handler::presence::{internal, list},
    hub::Place,
    node::{Node, random},
    rules::{
        invite::Party,
        share::{Chunks, Content, Folder, Held, Listed, Pattern, Prefix, Query, Share, ShareError, Shares},
    },
    session::wire::refused,
    store::{AccountId, Result},
};

/// Contents looked at before others get their turn.
const PAGE: usize = 256;
/// Bytes of an answer beside its list.
const REST_BYTES: usize = 1024;

fn index(node: &Node) -> MutexGuard<'_, Shares> {
    // Nothing under the lock can leave its data half changed.
    node.shares.lock().unwrap_or_else(PoisonError::into_inner)
}

fn content(content: Option<v1::Content>) -> Option<Content> {
    let v1::Content { id, size } = content?;
    Content::new(&id, size)
}

fn no_file() -> Body {
    refused(Reason::BadRequest, "No file is so")
}

// -------------------------------------------------------------------- what is held

/// A session holds a file.
pub(crate) fn hold(node: &Node, by: &Party, place: Place, hold: Hold) -> Body {
    let Some(content) = content(hold.content) else { return no_file() };
    let folder = hold.folder.map(|folder| Folder { bytes: folder.bytes, files: folder.files });
    let held = if hold.complete { Held::All } else { Held::Some(Chunks::new(&hold.chunks)) };
    let share = Share { name: hold.name, held, folder, inner: hold.inner };
    let present = node.hub.present();
    if !present.has(place) {
        return refused(Reason::Busy, "The session has gone on elsewhere");
    }
    match index(node).hold(by, content, share) {
        Ok(()) => Body::Done(Done {}),
        Err(error @ ShareError::TooMany) => refused(Reason::TooMany, &error.to_string()),
        Err(error @ ShareError::Name) => refused(Reason::BadRequest, &error.to_string()),
    }
}

/// A session holds more of a file. What it does not hold, or not any more, it holds no more of.
pub(crate) fn hold_more(node: &Node, place: Place, more: HoldMore) {
    let Some(content) = content(more.content) else { return };
    let present = node.hub.present();
    if present.has(place) {
        index(node).extend(place.session, &content, &Chunks::new(&more.chunks));
    }
}

/// A session does not hold a file any more.
pub(crate) fn release(node: &Node, place: Place, released: Option<v1::Content>) -> Body {
    let Some(content) = content(released) else { return Body::Done(Done {}) };
    let present = node.hub.present();
    if present.has(place) {
        index(node).release(place.session, &content);
    }
    Body::Done(Done {})
}

/// A session is over or offline, and nobody may come or go meanwhile.
pub(crate) fn left(node: &Node, place: Place) {
    index(node).left(place.session);
}

// -------------------------------------------------------------------- what is asked

/// Whom somebody does not see: who blocks the asker, and the asker.
struct Unseen(BTreeSet<AccountId>);

impl Unseen {
    /// By what is written, and by what was accepted since.
    async fn by(node: &Node, asker: AccountId) -> Result<Self> {
        let mut unseen: BTreeSet<_> =
            node.reader.run(move |store| store.blockers_of(asker)).await?.into_iter().collect();
        unseen.extend(node.hub.blockers_of(asker));
        unseen.insert(asker);
        Ok(Self(unseen))
    }

    fn sees(&self, account: AccountId) -> bool {
        !self.0.contains(&account)
    }
}

/// What others offer under such names.
pub(crate) async fn list_files(node: &Node, asker: AccountId, pattern: &str) -> Body {
    if pattern.len() > FILE_NAME_BYTES_MAX {
        return refused(Reason::BadRequest, "No name is that long");
    }
    let unseen = match Unseen::by(node, asker).await {
        Ok(unseen) => unseen,
        Err(error) => return internal(&error),
    };
    Body::Files(gather(node, &unseen, &Query::Like(Pattern::new(pattern))).await.into())
}

/// What may be meant: the files of this name, or else those whose id begins so.
pub(crate) async fn find_file(node: &Node, asker: AccountId, meant: String) -> Body {
    let unseen = match Unseen::by(node, asker).await {
        Ok(unseen) => unseen,
        Err(error) => return internal(&error),
    };
    let prefix = Prefix::new(&meant).map(Query::Id);
    let mut found = gather(node, &unseen, &Query::Named(meant)).await;
    if let (true, Some(prefix)) = (found.entries.is_empty(), prefix) {
        found = gather(node, &unseen, &prefix).await;
    }
    Body::Files(found.into())
}

async fn gather(node: &Node, unseen: &Unseen, query: &Query) -> Gathered {
    let (mut gathered, mut after) = (Gathered::default(), None);
    loop {
        let page = index(node).page(query, after.as_ref(), PAGE, |account| unseen.sees(account));
        page.listed.into_iter().for_each(|listed| gathered.add(listed));
        after = page.next;
        if after.is_none() {
            return gathered;
        }
        yield_now().await;
    }
}

/// As much of a list as fits into an answer: what comes first in the order of names.
#[derive(Default)]
struct Gathered {
    entries: BTreeMap<(String, Content), FileEntry>,
    bytes: usize,
    more: bool,
}

impl Gathered {
    fn add(&mut self, listed: Listed) {
        let Listed { content, name, sources, folder } = listed;
        let entry = FileEntry {
            content: Some(v1::Content { id: Bytes::copy_from_slice(content.id()), size: content.size() }),
            name: name.clone(),
            sources,
            folder: folder.map(|folder| v1::Folder { bytes: folder.bytes, files: folder.files }),
        };
        self.bytes += bytes_of(&entry);
        self.entries.insert((name, content), entry);
        while self.bytes > ANSWER_BYTES_MAX - REST_BYTES {
            let Some((_, last)) = self.entries.pop_last() else { break };
            self.bytes -= bytes_of(&last);
            self.more = true;
        }
    }
}

impl From<Gathered> for Files {
    fn from(gathered: Gathered) -> Self {
        Self { files: gathered.entries.into_values().collect(), more: gathered.more }
    }
}

/// Tag and length take less than eight bytes.
fn bytes_of(entry: &FileEntry) -> usize {
    entry.encoded_len() + 8
}

/// Users who hold any of a file of this name, or one of these chunks of it.
pub(crate) async fn find_holders(node: &Node, asker: AccountId, find: FindHolders) -> Body {
    let unseen = match Unseen::by(node, asker).await {
        Ok(unseen) => unseen,
        Err(error) => return internal(&error),
    };
    let chunks = (!find.chunks.is_empty()).then(|| Chunks::of(&find.chunks));
    let (mut names, mut after) = (BTreeSet::new(), None);
    loop {
        {
            let index = index(node);
            let contents = index.named(&find.name, after.as_ref(), PAGE);
            for content in &contents {
                let sees = |account| unseen.sees(account);
                let having = index.who_has(sees, content, &find.name, chunks.as_ref());
                names.extend(having.map(|party| party.name.clone()));
            }
            after = contents.last().filter(|_| contents.len() == PAGE).map(|last| **last);
        }
        if after.is_none() {
            return list(names.iter().map(ToString::to_string).collect());
        }
        yield_now().await;
    }
}

/// Introduces somebody to those who hold a file, as many as are enough, chosen at random.
pub(crate) async fn find_sources(node: &Node, asker: &Party, wanted: Option<v1::Content>) -> Body {
    let Some(content) = content(wanted) else { return no_file() };
    let unseen = match Unseen::by(node, asker.account).await {
        Ok(unseen) => unseen,
        Err(error) => return internal(&error),
    };
    let (ticket, signature) = node.tickets.sign(asker, &content, node.world.now_ms());
    Body::Sources(Sources { sources: sources(node, &unseen, &content), ticket, signature })
}

/// Only who has said where to be found is of use.
fn sources(node: &Node, unseen: &Unseen, content: &Content) -> Vec<Source> {
    let index = index(node);
    let invites = node.invites.lock().unwrap_or_else(PoisonError::into_inner);
    let all = index.sources(|account| unseen.sees(account), content);
    let reachable = all.filter_map(|(by, held)| Some((by, held, invites.contacts().of(by.session)?)));
    let mut reachable: Vec<_> = reachable.filter(|(_, _, contact)| leads_anywhere(contact)).collect();
    choose(node, &mut reachable);
    let source = |(by, held, contact): (&Party, &Held, &v1::Contact)| Source {
        user: by.name.to_string(),
        key: by.key.clone(),
        complete: *held == Held::All,
        chunks: match held {
            Held::All => Default::default(),
            Held::Some(chunks) => chunks.bits().to_vec().into(),
        },
        addresses: contact.addresses.clone(),
        relay: contact.relay,
        tcp: contact.tcp.clone(),
    };
    reachable.into_iter().map(source).collect()
}

fn leads_anywhere(contact: &v1::Contact) -> bool {
    contact.relay || !contact.addresses.is_empty() || !contact.tcp.is_empty()
}

/// Leaves as many as fit into an answer: the first steps of a shuffle.
fn choose<T>(node: &Node, all: &mut Vec<T>) {
    let chance: [u8; SOURCES_MAX * 8] = random(&*node.world);
    for (place, eight) in chance.chunks_exact(8).enumerate().take(all.len()) {
        let eight = eight.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let rest = (all.len() - place) as u64;
        // Below the length, which fits.
        all.swap(place, place + (eight % rest) as usize);
    }
    all.truncate(SOURCES_MAX);
}
