//! Devices on one machine, and a server that exists only as far as they notice.

#![allow(dead_code, reason = "not every test uses everything")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

pub(crate) mod child;
pub(crate) mod hostile;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hobnob_peer::file::ContentId;
use hobnob_peer::files::{Content, Entry, Event, Files, Reply, Request, Setup};
use hobnob_peer::network::Network;
use hobnob_protocol::v1;
use prost::Message;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longer than anything takes.
pub(crate) const SOON: Duration = Duration::from_secs(60);
const SERVER: [u8; 32] = [200; 32];
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Who holds what, as the server knows it.
#[derive(Default)]
pub(crate) struct Index {
    holders: BTreeMap<Content, BTreeMap<[u8; 32], v1::Source>>,
    contacts: BTreeMap<[u8; 32], (String, Vec<String>, Vec<String>)>,
    pub(crate) names: BTreeMap<Content, (String, Option<v1::Folder>)>,
    /// Nobody answers.
    pub(crate) away: bool,
    /// Nothing may be held; whether that is final.
    pub(crate) refuses: Option<bool>,
    pub(crate) requests: Vec<Request>,
}

/// The server.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<Index>>);

pub(crate) fn public(seed: [u8; 32]) -> [u8; 32] {
    Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().public_key().as_ref().try_into().unwrap()
}

pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A ticket, as the server signs it.
pub(crate) fn ticket(key: [u8; 32], user: &str, content: Content, expires_ms: i64) -> (Vec<u8>, Vec<u8>) {
    let wire = content.to_wire();
    let ticket = v1::Ticket {
        key: key.to_vec().into(),
        user: user.to_owned(),
        id: wire.id,
        size: wire.size,
        expires_ms,
    };
    let ticket = ticket.encode_to_vec();
    let signed = [hobnob_protocol::TICKET_DOMAIN, &ticket].concat();
    let signature = Ed25519KeyPair::from_seed_unchecked(&SERVER).unwrap().sign(&signed);
    (ticket, signature.as_ref().to_vec())
}

impl Server {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap()
    }

    /// Somebody holds all of a file, or says so.
    pub(crate) fn holds(&self, key: [u8; 32], user: &str, content: Content, tcp: &str) {
        let source = v1::Source { complete: true, ..Default::default() };
        let mut index = self.lock();
        index.holders.entry(content).or_default().insert(key, source);
        index.contacts.insert(key, (user.to_owned(), vec![tcp.to_owned()], Vec::new()));
    }

    pub(crate) fn sources(&self, asker: [u8; 32], user: &str, content: Content) -> v1::Sources {
        let index = self.lock();
        let holders = index.holders.get(&content).into_iter().flatten().filter(|(key, _)| **key != asker);
        let sources = holders.map(|(key, source)| {
            let (user, tcp, udp) = index.contacts.get(key).cloned().unwrap_or_default();
            v1::Source { user, key: key.to_vec().into(), tcp, addresses: udp, ..source.clone() }
        });
        let (ticket, signature) = ticket(asker, user, content, now_ms() + DAY_MS);
        v1::Sources { sources: sources.collect(), ticket: ticket.into(), signature: signature.into() }
    }

    fn answer(&self, key: [u8; 32], user: &str, request: Request) -> Reply {
        self.lock().requests.push(request.clone());
        if self.lock().away {
            return Reply::Away;
        }
        let of = |content: &Option<v1::Content>| Content::of_wire(content.as_ref().unwrap()).unwrap();
        match request {
            Request::Hold(_) if self.lock().refuses.is_some() => {
                let is_final = self.lock().refuses.unwrap_or_default();
                Reply::Refused { why: "no".to_owned(), is_final }
            }
            Request::Hold(hold) => {
                let content = of(&hold.content);
                let source =
                    v1::Source { complete: hold.complete, chunks: hold.chunks, ..Default::default() };
                let mut index = self.lock();
                index.holders.entry(content).or_default().insert(key, source);
                index.names.insert(content, (hold.name, hold.folder));
                Reply::Done
            }
            Request::HoldMore(more) => {
                let content = of(&more.content);
                let mut index = self.lock();
                let source = index.holders.get_mut(&content).unwrap().get_mut(&key).unwrap();
                let mut chunks = source.chunks.to_vec();
                chunks.resize(chunks.len().max(more.chunks.len()), 0);
                chunks.iter_mut().zip(&more.chunks).for_each(|(own, more)| *own |= more);
                source.chunks = chunks.into();
                Reply::Done
            }
            Request::Release(release) => {
                self.lock().holders.entry(of(&release.content)).or_default().remove(&key);
                Reply::Done
            }
            Request::FindSources(find) => Reply::Sources(self.sources(key, user, of(&find.content))),
        }
    }

    /// Where this device can be called.
    pub(crate) fn tcp_of(&self, key: [u8; 32]) -> String {
        self.lock().contacts[&key].1[0].clone()
    }

    pub(crate) fn holder_count(&self, content: Content) -> usize {
        self.lock().holders.get(&content).map_or(0, BTreeMap::len)
    }

    /// How many files a device holds.
    pub(crate) fn held_by(&self, key: [u8; 32]) -> usize {
        self.lock().holders.values().filter(|holders| holders.contains_key(&key)).count()
    }

    /// What the server would find.
    pub(crate) fn entry(&self, content: Content) -> Entry {
        let index = self.lock();
        let (name, folder) = index.names.get(&content).cloned().unwrap_or(("file".to_owned(), None));
        Entry { content, name, folder, sources: None }
    }
}

/// How a device reaches others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Tcp,
    Quic,
}

/// Where a device has its things.
#[derive(Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Removed when nobody uses it any more.
    _temporary: Option<Arc<TempDir>>,
}

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl From<Arc<TempDir>> for Folder {
    fn from(folder: Arc<TempDir>) -> Self {
        Self { path: folder.path().to_owned(), _temporary: Some(folder) }
    }
}

impl From<PathBuf> for Folder {
    fn from(path: PathBuf) -> Self {
        Self { path, _temporary: None }
    }
}

/// A device.
pub(crate) struct Node {
    pub(crate) files: Option<Arc<Files>>,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) seed: [u8; 32],
    pub(crate) user: String,
    pub(crate) server: Server,
    pub(crate) network: Option<Network>,
    way: Way,
    pub(crate) folder: Folder,
    pub(crate) downloads: PathBuf,
    tasks: JoinSet<()>,
}

impl Node {
    pub(crate) async fn start(server: &Server, number: u8, way: Way) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        Self::start_in(server, number, way, folder, true).await
    }

    pub(crate) async fn start_in(
        server: &Server,
        number: u8,
        way: Way,
        folder: impl Into<Folder>,
        holds: bool,
    ) -> Self {
        let folder = folder.into();
        let seed = [number; 32];
        let user = format!("user{number}");
        let downloads = folder.path().join("downloads");
        std::fs::create_dir_all(&downloads).unwrap();
        let setup = Setup {
            seed,
            ticket_key: public(SERVER),
            data: folder.path().join("data"),
            downloads: downloads.clone(),
            relay_only: way == Way::Quic,
            holds,
            comes_back: true,
            listen: Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
            blocked: Vec::new(),
        };
        let (files, mut source) = Files::start(setup).unwrap();
        let files = Arc::new(files);
        let (events_in, events) = mpsc::channel(10_000);
        let mut tasks = JoinSet::new();
        let key = public(seed);
        server.lock().contacts.insert(key, (user.clone(), Vec::new(), Vec::new()));
        let network =
            if way == Way::Quic { Some(quic(server, seed, &files, &mut tasks).await) } else { None };
        let (own, named, weak) = (server.clone(), user.clone(), Arc::downgrade(&files));
        tasks.spawn(async move {
            while let Some(event) = source.next().await {
                match event {
                    Event::Server { id, request } => {
                        let reply = own.answer(key, &named, request);
                        if let Some(files) = weak.upgrade() {
                            files.answered(id, reply).unwrap();
                        }
                    }
                    Event::Listening { port } => {
                        let tcp = vec![format!("127.0.0.1:{port}")];
                        own.lock().contacts.get_mut(&key).unwrap().1 = tcp;
                    }
                    event => drop(events_in.send(event).await),
                }
            }
        });
        let server = server.clone();
        Self { files: Some(files), events, seed, user, server, network, way, folder, downloads, tasks }
    }

    pub(crate) fn files(&self) -> &Files {
        self.files.as_ref().unwrap()
    }

    pub(crate) fn key(&self) -> [u8; 32] {
        public(self.seed)
    }

    /// Ends in order, and begins again with what is on the disk.
    pub(crate) async fn restart(mut self) -> Self {
        self.leave().await;
        let number = self.seed[0];
        Self::start_in(&self.server, number, self.way, self.folder.clone(), true).await
    }

    pub(crate) async fn leave(&mut self) {
        let files = Arc::into_inner(self.files.take().unwrap()).expect("nobody else uses it for long");
        files.leave().await;
        if let Some(network) = self.network.take() {
            network.close().await;
        }
        let key = self.key();
        self.server.lock().holders.values_mut().for_each(|holders| drop(holders.remove(&key)));
    }

    /// The next event that is not about how far something is.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            match timeout(SOON, self.events.recv()).await.expect("something happens").unwrap() {
                Event::Progress(_) | Event::Reading { .. } | Event::Stalled { .. } | Event::GoesOn { .. } => {
                }
                event => return event,
            }
        }
    }

    /// Shares this content as a file of this name.
    pub(crate) async fn share(&mut self, name: &str, bytes: &[u8]) -> Content {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        self.share_path(&path).await
    }

    pub(crate) async fn share_path(&mut self, path: &Path) -> Content {
        self.files().share(path).unwrap();
        match self.next().await {
            Event::Sharing { id, .. } => self.server.with_id(id),
            other => panic!("not shared: {other:?}"),
        }
    }

    pub(crate) fn download(&self, content: Content) {
        self.files().download(self.server.entry(content)).unwrap();
    }

    /// Waits until it is here.
    pub(crate) async fn downloaded(&mut self) -> PathBuf {
        match self.next().await {
            Event::Downloaded { path, .. } => path,
            other => panic!("not downloaded: {other:?}"),
        }
    }
}

impl Server {
    pub(crate) fn with_id(&self, id: ContentId) -> Content {
        *self.lock().names.keys().find(|content| content.id == id).unwrap()
    }
}

async fn quic(server: &Server, seed: [u8; 32], files: &Arc<Files>, tasks: &mut JoinSet<()>) -> Network {
    use hobnob_peer::network::{LinkEvent, Setup};
    let setup = Setup { seed, relay: None, relay_only: false };
    let (network, mut events) = Network::open(setup).await.unwrap();
    files.use_network(network.files()).unwrap();
    let own = server.clone();
    let (told, mut known) = mpsc::channel(1);
    tasks.spawn(async move {
        while let Some(event) = events.next().await {
            if let LinkEvent::Contact(contact) = event {
                own.lock().contacts.get_mut(&public(seed)).unwrap().2 = contact.addresses;
                let _ = told.try_send(());
            }
        }
    });
    timeout(SOON, known.recv()).await.expect("it finds its addresses");
    network
}

/// Bytes that compress to nothing, and differ for each seed.
pub(crate) fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let mut reader = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut content = vec![0; bytes];
    reader.fill(&mut content);
    content
}
