//! Files over links in memory: who holds what, as each may know it, and who is introduced to whom to fetch
//! it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use hobnob_protocol::{
    TICKET_DOMAIN,
    close::Close,
    limits::{
        ANSWER_BYTES_MAX, CONTACT_ADDRESSES_MAX, FILE_BYTES_MAX, FILE_CHUNK_BYTES_MIN, FILES_HELD_MAX, GRACE,
        SOURCES_MAX, TICKET_LIFETIME,
    },
    v1::{self, client_frame::Body, refused::Reason, reply, submitted::Outcome},
};
use hobnob_server::{config::Policy, store::memory::MemoryStore, upkeep};
use prost::Message;
use ring::signature::{ED25519, UnparsedPublicKey};
use support::*;
use tokio::time::{Instant, advance, timeout_at};

/// A content of twenty chunks.
fn content(byte: u8) -> v1::Content {
    v1::Content { id: vec![byte; 32].into(), size: 20 * FILE_CHUNK_BYTES_MIN }
}

fn whole(byte: u8, name: &str) -> v1::Hold {
    v1::Hold { content: Some(content(byte)), name: name.to_owned(), complete: true, ..v1::Hold::default() }
}

fn part(byte: u8, name: &str, chunks: &[u8]) -> v1::Hold {
    v1::Hold { complete: false, chunks: chunks.to_vec().into(), ..whole(byte, name) }
}

/// Tries to hold a file; `None`: done.
async fn refusal(by: &mut Connection, hold: v1::Hold) -> Option<Reason> {
    match by.request(Body::Hold(hold)).await {
        reply::Body::Done(_) => None,
        reply::Body::Refused(refused) => Some(refused.reason()),
        other => panic!("{other:?}"),
    }
}

async fn hold(by: &mut Connection, hold: v1::Hold) {
    assert_eq!(refusal(by, hold).await, None);
}

async fn hold_more(by: &mut Connection, byte: u8, chunks: &[u8]) {
    let more = v1::HoldMore { content: Some(content(byte)), chunks: chunks.to_vec().into() };
    by.send(0, Body::HoldMore(more)).await;
}

async fn release(by: &mut Connection, content: Option<v1::Content>) {
    assert!(matches!(by.request(Body::Release(v1::Release { content })).await, reply::Body::Done(_)));
}

async fn files(by: &mut Connection, request: Body) -> v1::Files {
    match by.request(request).await {
        reply::Body::Files(files) => files,
        other => panic!("{other:?}"),
    }
}

fn list_frame(pattern: &str) -> Body {
    Body::ListFiles(v1::ListFiles { pattern: pattern.to_owned() })
}

fn find_frame(meant: &str) -> Body {
    Body::FindFile(v1::FindFile { meant: meant.to_owned() })
}

/// As people read it: name, first byte of the id, number of sources.
async fn shown(by: &mut Connection, request: Body) -> Vec<String> {
    let files = files(by, request).await;
    assert!(!files.more);
    let line =
        |file: v1::FileEntry| format!("{} {:02x} {}", file.name, file.content.unwrap().id[0], file.sources);
    files.files.into_iter().map(line).collect()
}

async fn list(by: &mut Connection, pattern: &str) -> Vec<String> {
    shown(by, list_frame(pattern)).await
}

async fn find(by: &mut Connection, meant: &str) -> Vec<String> {
    shown(by, find_frame(meant)).await
}

async fn holders(by: &mut Connection, name: &str, chunks: &[u32]) -> Vec<String> {
    let find = v1::FindHolders { name: name.to_owned(), chunks: chunks.to_vec() };
    by.names(Body::FindHolders(find)).await
}

async fn sources(by: &mut Connection, content: v1::Content) -> v1::Sources {
    match by.request(Body::FindSources(v1::FindSources { content: Some(content) })).await {
        reply::Body::Sources(sources) => sources,
        other => panic!("{other:?}"),
    }
}

async fn source_names(by: &mut Connection, byte: u8) -> Vec<String> {
    let sources = sources(by, content(byte)).await.sources;
    let mut names: Vec<_> = sources.into_iter().map(|source| source.user).collect();
    names.sort_unstable();
    names
}

fn contact(port: u16) -> v1::Contact {
    let at = |port| vec![format!("192.0.2.1:{port}")];
    v1::Contact { addresses: at(port), relay: false, tcp: at(port + 1) }
}

/// Says where it is, so that it can be a source.
async fn is_at(who: &mut Connection, contact: v1::Contact) {
    who.send(0, Body::Contact(contact)).await;
}

/// Lets time pass for one who reads, so that it answers pings.
async fn pass(time: Duration, by: &mut Connection) {
    let end = Instant::now() + time;
    while let Ok(event) = timeout_at(end, by.next()).await {
        by.events.push(event.unwrap());
    }
}

async fn log_out(who: &mut Connection) {
    who.request(Body::Logout(v1::Logout {})).await;
    assert_eq!(who.closed().await, Some(Close::LoggedOut));
}

async fn resume(server: &mut TestServer, name: &str, opened: &v1::Opened) -> (Connection, v1::Opened) {
    let mut connection = server.connect();
    connection.hello().await;
    let frame = connection.resume_frame(name, opened);
    let opened = connection.opened(frame).await;
    (connection, opened)
}

async fn background(server: &mut TestServer, name: &str, opened: &v1::Opened) -> Connection {
    let mut script = server.connect();
    script.hello().await;
    let login = Body::Login(v1::Login {
        name: name.to_owned(),
        proof: Some(v1::login::Proof::Token(opened.token.clone())),
        background: true,
        device: Some(script.fresh_device(name, 99)),
        ..v1::Login::default()
    });
    script.opened(login).await;
    script
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_found_by_others() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("Hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    assert_eq!(list(&mut yoda, "").await, [""; 0]);
    let folder = Some(v1::Folder { bytes: 5000, files: 3 });
    hold(&mut hans, v1::Hold { folder, ..whole(0xab, "Holiday") }).await;
    hold(&mut hans, whole(0xcd, "notes.txt")).await;
    assert_eq!(list(&mut yoda, "").await, ["Holiday ab 1", "notes.txt cd 1"]);
    for (pattern, expected) in
        [("LIDAY", "Holiday ab 1"), ("*.TXT", "notes.txt cd 1"), ("N?tes*", "notes.txt cd 1")]
    {
        assert_eq!(list(&mut yoda, pattern).await, [expected], "{pattern}");
    }
    assert_eq!(list(&mut yoda, "*.doc").await, [""; 0]);
    let found = files(&mut yoda, find_frame("Holiday")).await.files;
    assert_eq!((found[0].content.clone(), found[0].folder), (Some(content(0xab)), folder));
    for meant in ["notes.txt", "cdcdcd", "CDCDCDC", &"cd".repeat(32)] {
        assert_eq!(find(&mut yoda, meant).await, ["notes.txt cd 1"], "{meant}");
    }
    for meant in ["notes", "NOTES.TXT", "cdcdc", "cdcdce", &"cd".repeat(33), &"x".repeat(10_000), ""] {
        assert_eq!(find(&mut yoda, meant).await, [""; 0], "{meant}");
    }
    assert_eq!(holders(&mut yoda, "notes.txt", &[]).await, ["Hans"]);
    assert_eq!(holders(&mut yoda, "notes", &[]).await, [""; 0]);
    is_at(&mut hans, contact(7)).await;
    hold(&mut hans, whole(0xcd, "notes.txt")).await;
    let [source] = sources(&mut yoda, content(0xcd)).await.sources.try_into().unwrap();
    let expected = v1::Source {
        user: "Hans".to_owned(),
        key: hans.device("Hans").key,
        complete: true,
        chunks: Bytes::new(),
        addresses: contact(7).addresses,
        relay: false,
        tcp: contact(7).tcp,
    };
    assert_eq!(source, expected);
}

#[tokio::test(start_paused = true)]
async fn nobody_finds_what_only_the_same_user_holds() {
    let mut server = TestServer::new(Policy { sessions_per_user: 2, ..Policy::default() });
    let (mut hans, _) = server.login("hans").await;
    let (mut other, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    for (port, who) in [(1, &mut hans), (3, &mut other), (5, &mut yoda)] {
        is_at(who, contact(port)).await;
        hold(who, whole(7, "a")).await;
    }
    assert_eq!(list(&mut hans, "").await, ["a 07 1"]);
    assert_eq!(list(&mut yoda, "").await, ["a 07 1"], "users are counted, not sessions");
    assert_eq!(holders(&mut yoda, "a", &[]).await, ["hans"]);
    assert_eq!(source_names(&mut yoda, 7).await, ["hans", "hans"], "but each can be fetched from");
    assert_eq!(source_names(&mut hans, 7).await, ["yoda"]);
    release(&mut yoda, Some(content(7))).await;
    assert_eq!(list(&mut hans, "").await, [""; 0]);
    assert_eq!((find(&mut hans, "a").await.len(), find(&mut hans, "070707").await.len()), (0, 0));
    assert_eq!(holders(&mut hans, "a", &[]).await, [""; 0]);
    assert_eq!(source_names(&mut hans, 7).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn who_blocks_the_asker_is_not_there() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, opened) = server.login("yoda").await;
    let (mut luke, _) = server.login("luke").await;
    for (port, who) in [(1, &mut hans), (3, &mut yoda)] {
        is_at(who, contact(port)).await;
    }
    hold(&mut hans, whole(7, "a")).await;
    hold(&mut yoda, whole(8, "b")).await;
    hold(&mut yoda, whole(7, "z")).await;
    assert_eq!(yoda.outcome(1, block("hans")).await, Outcome::Accepted);
    // The blocked finds nothing, by whichever way.
    assert_eq!(list(&mut hans, "").await, [""; 0]);
    for meant in ["b", "z", "080808", "070707"] {
        assert_eq!(find(&mut hans, meant).await, [""; 0], "{meant}");
    }
    assert_eq!(holders(&mut hans, "b", &[]).await, [""; 0]);
    assert_eq!(holders(&mut hans, "b", &[1]).await, [""; 0]);
    assert_eq!(source_names(&mut hans, 8).await, [""; 0]);
    // The blocker finds, and so do others; counts are as each sees them.
    assert_eq!(list(&mut yoda, "").await, ["a 07 1"]);
    assert_eq!(holders(&mut yoda, "a", &[]).await, ["hans"]);
    assert_eq!(source_names(&mut yoda, 7).await, ["hans"]);
    assert_eq!(list(&mut luke, "").await, ["a 07 2", "b 08 1"]);
    // It is the same when the blocker is only connected again, and when the block is gone.
    drop(yoda);
    let (mut yoda, _) = resume(&mut server, "yoda", &opened).await;
    assert_eq!(list(&mut hans, "").await, [""; 0]);
    assert_eq!(yoda.outcome(2, unblock("hans")).await, Outcome::Accepted);
    assert_eq!(list(&mut hans, "").await, ["b 08 1", "z 07 1"]);
    assert_eq!(source_names(&mut hans, 7).await, ["yoda"]);
}

#[tokio::test(start_paused = true)]
async fn a_block_counts_for_questions_behind_it() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    hold(&mut hans, whole(7, "a")).await;
    hans.ask(submit(1, block("yoda"))).await;
    hans.ask(list_frame("")).await;
    assert!(matches!(hans.reply().await.1, reply::Body::Submitted(_)));
    assert_eq!(list(&mut yoda, "").await, [""; 0]);
    assert!(matches!(hans.reply().await.1, reply::Body::Files(_)), "in order");
}

#[tokio::test(start_paused = true)]
async fn a_name_of_several_contents_and_a_content_of_several_names() {
    let mut server = TestServer::new(Policy::default());
    let (mut asker, _) = server.login("asker").await;
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let (mut luke, _) = server.login("luke").await;
    hold(&mut hans, whole(7, "plan")).await;
    hold(&mut yoda, whole(8, "plan")).await;
    hold(&mut luke, whole(8, "070707")).await;
    assert_eq!(find(&mut asker, "plan").await, ["plan 07 1", "plan 08 2"]);
    assert_eq!(holders(&mut asker, "plan", &[]).await, ["hans", "yoda"]);
    assert_eq!(holders(&mut asker, "070707", &[]).await, ["luke"], "by the holder's own name");
    assert_eq!(find(&mut asker, "070707").await, ["070707 08 2"], "a name comes before an id");
    assert_eq!(find(&mut asker, "0707070").await, ["plan 07 1"]);
    hold(&mut hans, whole(8, "other")).await;
    assert_eq!(list(&mut asker, "").await, ["070707 08 3", "plan 07 1"]);
    // The same content of another size is another file.
    let size = content(7).size + 1;
    hold(&mut yoda, v1::Hold { content: Some(v1::Content { size, ..content(7) }), ..whole(7, "plan") }).await;
    assert_eq!(find(&mut asker, "plan").await.len(), 3);
    // A new name takes the place of the old one.
    hold(&mut hans, whole(7, "PLAN")).await;
    assert_eq!(find(&mut asker, "PLAN").await, ["PLAN 07 1"]);
    assert_eq!(find(&mut asker, "plan").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_has_some_chunks_is_a_source_of_those() {
    let mut server = TestServer::new(Policy::default());
    let (mut asker, _) = server.login("asker").await;
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    for (port, who) in [(1, &mut hans), (3, &mut yoda)] {
        is_at(who, contact(port)).await;
    }
    hold(&mut hans, part(7, "a", &[])).await;
    assert_eq!(list(&mut asker, "").await, [""; 0], "who has nothing is no source");
    assert_eq!(source_names(&mut asker, 7).await, [""; 0]);
    hold(&mut hans, part(7, "a", &[0b1000])).await;
    hold(&mut yoda, whole(7, "a")).await;
    assert_eq!(list(&mut asker, "").await, ["a 07 2"]);
    assert_eq!(holders(&mut asker, "a", &[3]).await, ["hans", "yoda"]);
    assert_eq!(holders(&mut asker, "a", &[4, 5]).await, ["yoda"]);
    assert_eq!(holders(&mut asker, "a", &[20, 100, 16_384, u32::MAX]).await, [""; 0], "no such chunks");
    hold_more(&mut hans, 7, &[0b10000, 0, 0b1111_1000]).await;
    hold_more(&mut hans, 8, &[1]).await;
    hold(&mut hans, whole(9, "served")).await;
    assert_eq!(holders(&mut asker, "a", &[4, 5]).await, ["hans", "yoda"]);
    let found = sources(&mut asker, content(7)).await.sources;
    let of_hans = found.iter().find(|source| source.user == "hans").unwrap();
    assert_eq!(
        (of_hans.complete, &of_hans.chunks[..]),
        (false, &[0b11000, 0, 0b1000][..]),
        "cut to the file"
    );
    assert_eq!(source_names(&mut asker, 8).await, [""; 0], "more of nothing is nothing");
    hold(&mut hans, whole(7, "a")).await;
    assert_eq!(holders(&mut asker, "a", &[5]).await, ["hans", "yoda"]);
    let found = sources(&mut asker, content(7)).await.sources;
    assert!(found.iter().all(|source| source.complete && source.chunks.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_held_until_it_is_released_or_its_session_is_gone() {
    let mut server = TestServer::new(Policy::default());
    let (mut asker, _) = server.login("asker").await;
    let (mut hans, _) = server.login("hans").await;
    is_at(&mut hans, contact(1)).await;
    hold(&mut hans, whole(7, "a")).await;
    hold(&mut hans, whole(8, "b")).await;
    release(&mut asker, Some(content(7))).await;
    assert_eq!(list(&mut asker, "").await, ["a 07 1", "b 08 1"], "others release only their own");
    for _ in 0..2 {
        release(&mut hans, Some(content(7))).await;
        assert_eq!(list(&mut asker, "").await, ["b 08 1"]);
    }
    assert_eq!(source_names(&mut asker, 7).await, [""; 0]);
    log_out(&mut hans).await;
    assert_eq!(list(&mut asker, "").await, [""; 0]);
    let (mut hans, _) = server.login("hans").await;
    assert_eq!(list(&mut asker, "").await, [""; 0], "a new session holds what it says");
    hold(&mut hans, whole(8, "b")).await;
    assert_eq!(list(&mut asker, "").await, ["b 08 1"]);
    assert_eq!(source_names(&mut asker, 8).await, [""; 0], "the contact was the old session's");
}

#[tokio::test(start_paused = true)]
async fn a_broken_session_goes_on_holding_for_its_grace() {
    let mut server = TestServer::new(Policy::default());
    let (mut asker, _) = server.login("asker").await;
    let (mut hans, opened) = server.login("hans").await;
    is_at(&mut hans, contact(1)).await;
    hold(&mut hans, whole(7, "a")).await;
    drop(hans);
    pass(GRACE - Duration::from_secs(1), &mut asker).await;
    assert_eq!(source_names(&mut asker, 7).await, ["hans"], "the transfer does not need the server");
    let (hans, _) = resume(&mut server, "hans", &opened).await;
    pass(Duration::from_secs(5), &mut asker).await;
    assert_eq!(source_names(&mut asker, 7).await, ["hans"]);
    drop(hans);
    pass(GRACE + Duration::from_secs(1), &mut asker).await;
    assert_eq!(list(&mut asker, "").await, [""; 0]);
    let (mut hans, _) = resume(&mut server, "hans", &opened).await;
    assert_eq!(list(&mut asker, "").await, [""; 0], "until it is said again");
    hold(&mut hans, whole(7, "a")).await;
    assert_eq!(list(&mut asker, "").await, ["a 07 1"]);
    // A login that takes the place of a broken session holds nothing of what that did.
    drop(hans);
    let (_hans, _) = server.login("hans").await;
    assert_eq!(list(&mut asker, "").await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_again_is_told_again() {
    let store = MemoryStore::new(Bytes::from_static(b"epoch"));
    let mut server = TestServer::on(store.clone(), Policy::default());
    let (mut asker, of_asker) = server.login("asker").await;
    let (mut hans, of_hans) = server.login("hans").await;
    hold(&mut hans, whole(7, "a")).await;
    assert_eq!(list(&mut asker, "").await, ["a 07 1"]);
    drop((server, hans, asker));
    let mut server = TestServer::on(store, Policy::default());
    upkeep::restore_sessions(&server.node).await.unwrap();
    let (mut asker, again) = resume(&mut server, "asker", &of_asker).await;
    assert_eq!(again.ticket_key, of_asker.ticket_key);
    assert_eq!(list(&mut asker, "").await, [""; 0]);
    let (mut hans, _) = resume(&mut server, "hans", &of_hans).await;
    hold_more(&mut hans, 7, &[1]).await;
    hold(&mut hans, whole(7, "a")).await;
    assert_eq!(list(&mut asker, "").await, ["a 07 1"]);
}

#[tokio::test(start_paused = true)]
async fn only_who_says_where_to_be_found_is_a_source() {
    let mut server = TestServer::new(Policy::default());
    let (mut asker, _) = server.login("asker").await;
    let (mut hans, _) = server.login("hans").await;
    hold(&mut hans, whole(7, "a")).await;
    assert_eq!(source_names(&mut asker, 7).await, [""; 0]);
    assert_eq!(list(&mut asker, "").await, ["a 07 1"], "it is there all the same");
    let nowhere = ["0.0.0.0:1", "192.0.2.1:0", "192.0.2.1", "example.org:80", "\u{1b}[2J:1", "[ff02::1]:1"];
    let nowhere: Vec<_> = nowhere.map(str::to_owned).into();
    let told = v1::Contact { addresses: nowhere.clone(), relay: false, tcp: nowhere };
    is_at(&mut hans, told).await;
    hold(&mut hans, whole(7, "a")).await;
    assert_eq!(source_names(&mut asker, 7).await, [""; 0], "that leads nowhere");
    let many: Vec<_> = (1..60).map(|port| format!("192.0.2.1:{port}")).collect();
    for told in [
        v1::Contact { relay: true, ..v1::Contact::default() },
        v1::Contact { tcp: vec!["[2001:db8::1]:5".to_owned()], ..v1::Contact::default() },
        v1::Contact { addresses: many[..1].to_vec(), ..v1::Contact::default() },
        v1::Contact { addresses: many.clone(), relay: true, tcp: many.clone() },
    ] {
        is_at(&mut hans, told.clone()).await;
        hold(&mut hans, whole(7, "a")).await;
        let [source] = sources(&mut asker, content(7)).await.sources.try_into().unwrap();
        let first = |all: Vec<String>| all.into_iter().take(CONTACT_ADDRESSES_MAX).collect::<Vec<_>>();
        assert_eq!(source.addresses, first(told.addresses));
        assert_eq!(source.tcp, first(told.tcp));
        assert_eq!(source.relay, told.relay);
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_sources_some_are_chosen_at_random() {
    let mut server = TestServer::new(Policy::default());
    let (mut asker, _) = server.login("asker").await;
    let mut others = Vec::new();
    for number in 0..SOURCES_MAX as u16 + 15 {
        let (mut other, _) = server.login(&format!("other{number}")).await;
        is_at(&mut other, contact(1 + 2 * number)).await;
        hold(&mut other, whole(7, "a")).await;
        others.push(other);
        let there = source_names(&mut asker, 7).await;
        assert_eq!(there.len(), others.len().min(SOURCES_MAX));
    }
    let mut seen = BTreeSet::new();
    let mut answers = BTreeSet::new();
    for _ in 0..40 {
        let names = source_names(&mut asker, 7).await;
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), SOURCES_MAX, "nobody twice");
        seen.extend(names.clone());
        answers.insert(names);
    }
    assert_eq!(seen.len(), others.len(), "everybody's turn comes");
    assert!(answers.len() > 20, "{}", answers.len());
    let listed = files(&mut asker, list_frame("")).await.files;
    assert_eq!(listed[0].sources, others.len() as u32);
}

#[tokio::test(start_paused = true)]
async fn a_ticket_says_who_may_fetch_what_and_until_when() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, opened) = server.login("Hans").await;
    let (mut yoda, of_yoda) = server.login("yoda").await;
    assert_eq!((opened.ticket_key.len(), &opened.ticket_key), (32, &of_yoda.ticket_key));
    let mut script = background(&mut server, "Hans", &opened).await;
    is_at(&mut yoda, contact(1)).await;
    hold(&mut yoda, whole(7, "a")).await;
    let key = UnparsedPublicKey::new(&ED25519, &opened.ticket_key);
    let device = (hans.device("Hans").key, script.fresh_device("Hans", 99).key);
    for (by, key_of_asker) in [(&mut hans, device.0), (&mut script, device.1)] {
        let before = server.node.world.now_ms();
        let sources = sources(by, content(7)).await;
        assert_eq!(sources.sources.len(), 1);
        key.verify(&[TICKET_DOMAIN, &sources.ticket].concat(), &sources.signature).unwrap();
        assert!(key.verify(&sources.ticket, &sources.signature).is_err(), "it is signed as a ticket");
        let ticket = v1::Ticket::decode(sources.ticket).unwrap();
        let expected = v1::Ticket {
            key: key_of_asker,
            user: "Hans".to_owned(),
            id: content(7).id,
            size: content(7).size,
            expires_ms: before + 24 * 3600 * 1000,
        };
        assert_eq!(ticket, expected);
        assert_eq!(TICKET_LIFETIME, Duration::from_secs(24 * 3600));
    }
    // Who resumes learns the key as well.
    drop(hans);
    let (_hans, resumed) = resume(&mut server, "Hans", &opened).await;
    assert_eq!(resumed.ticket_key, opened.ticket_key);
}

#[tokio::test(start_paused = true)]
async fn a_background_session_asks_and_holds_nothing() {
    let mut server = TestServer::new(Policy::default());
    let (_hans, opened) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    is_at(&mut yoda, contact(1)).await;
    hold(&mut yoda, whole(7, "a")).await;
    let mut script = background(&mut server, "hans", &opened).await;
    is_at(&mut script, contact(3)).await;
    assert_eq!(refusal(&mut script, whole(7, "a")).await, Some(Reason::Background));
    hold_more(&mut script, 7, &[1]).await;
    release(&mut script, Some(content(7))).await;
    assert_eq!(list(&mut script, "").await, ["a 07 1"]);
    assert_eq!(find(&mut script, "a").await, ["a 07 1"]);
    assert_eq!(holders(&mut script, "a", &[1]).await, ["yoda"]);
    assert_eq!(source_names(&mut script, 7).await, ["yoda"]);
    assert_eq!(list(&mut yoda, "").await, [""; 0]);
    assert_eq!(yoda.outcome(1, block("hans")).await, Outcome::Accepted);
    assert_eq!(list(&mut script, "").await, [""; 0]);
    assert_eq!(source_names(&mut script, 7).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn before_the_login_there_are_no_files() {
    let mut server = TestServer::new(Policy::default());
    let (mut yoda, _) = server.login("yoda").await;
    hold(&mut yoda, whole(7, "a")).await;
    let mut stranger = server.connect();
    stranger.hello().await;
    hold_more(&mut stranger, 7, &[1]).await;
    let find = v1::FindSources { content: Some(content(7)) };
    for request in [Body::Hold(whole(7, "a")), list_frame(""), find_frame("a"), Body::FindSources(find)] {
        let reply::Body::Refused(refused) = stranger.request(request).await else { panic!() };
        assert_eq!(refused.reason(), Reason::NotLoggedIn);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_file_is_refused() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let short = v1::Content { id: vec![7; 31].into(), size: 1 };
    let long = v1::Content { id: vec![7; 100_000].into(), size: 1 };
    let large = v1::Content { size: FILE_BYTES_MAX + 1, ..content(7) };
    for no_file in [None, Some(short), Some(long), Some(large), Some(v1::Content::default())] {
        let wrong = v1::Hold { content: no_file.clone(), ..whole(7, "a") };
        assert_eq!(refusal(&mut hans, wrong).await, Some(Reason::BadRequest));
        hans.send(0, Body::HoldMore(v1::HoldMore { content: no_file.clone(), chunks: Bytes::new() })).await;
        release(&mut hans, no_file.clone()).await;
        let find = Body::FindSources(v1::FindSources { content: no_file });
        let reply::Body::Refused(refused) = hans.request(find).await else { panic!() };
        assert_eq!(refused.reason(), Reason::BadRequest);
    }
    for name in ["", "a\nb", "\t", "\u{1b}[2J", "\u{7f}", "\u{9b}31m", &"x".repeat(256), &"x".repeat(100_000)]
    {
        assert_eq!(refusal(&mut hans, whole(7, name)).await, Some(Reason::BadRequest), "{name:?}");
    }
    assert_eq!(list(&mut yoda, "").await, [""; 0]);
    // What a name may not do to a folder is for those who write it there.
    for (byte, name) in
        [(1, "../../etc/passwd"), (2, "\u{202e}cod.exe"), (3, &"ä".repeat(127)), (4, "."), (5, "C:\\x")]
    {
        hold(&mut hans, whole(byte, name)).await;
        assert_eq!(find(&mut yoda, name).await.len(), 1, "{name}");
    }
    // More chunks than a file has are not kept.
    is_at(&mut hans, contact(1)).await;
    hold(&mut hans, part(7, "a", &[0xff; 100_000])).await;
    hold_more(&mut hans, 7, &[0xff; 100_000]).await;
    hold(&mut hans, whole(9, "served")).await;
    assert_eq!(&sources(&mut yoda, content(7)).await.sources[0].chunks[..], [0xff, 0xff, 0x0f]);
    let reply::Body::Refused(refused) = yoda.request(list_frame(&"*".repeat(256))).await else { panic!() };
    assert_eq!(refused.reason(), Reason::BadRequest);
    assert_eq!(list(&mut yoda, &"*?".repeat(127)).await.len(), 1, "the name of 127 characters");
    // A note with a number: the connection ends.
    hans.send(1_000_000, Body::HoldMore(v1::HoldMore::default())).await;
    assert_eq!(hans.closed().await, Some(Close::BadFrame));
}

/// One of many contents.
fn numbered(number: usize) -> v1::Content {
    let mut id = vec![0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    v1::Content { id: id.into(), size: 1 }
}

#[tokio::test(start_paused = true)]
async fn a_session_holds_so_many_files_and_returns_with_all_of_them() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    let one = |number| v1::Hold { content: Some(numbered(number)), ..whole(0, "a") };
    let start = Instant::now();
    for _ in 0..2 {
        for number in 0..FILES_HELD_MAX {
            hold(&mut hans, one(number)).await;
        }
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "all of them, and again");
    assert_eq!(refusal(&mut hans, one(FILES_HELD_MAX)).await, Some(Reason::TooMany));
    release(&mut hans, Some(numbered(5))).await;
    hold(&mut hans, one(FILES_HELD_MAX)).await;
    let found = files(&mut yoda, find_frame("a")).await;
    assert_eq!((found.files.len(), found.more), (FILES_HELD_MAX, false));
    assert_eq!(holders(&mut yoda, "a", &[0]).await, ["hans"]);
    // From here on it is read more slowly, whatever it says of its files.
    let start = Instant::now();
    for number in 0..250 {
        hold(&mut hans, one(number % 2)).await;
        hans.send(0, Body::HoldMore(v1::HoldMore { content: Some(numbered(1)), ..Default::default() })).await;
    }
    assert!((9..=11).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let start = Instant::now();
    for _ in 0..300 {
        find(&mut yoda, "nothing").await;
    }
    assert!((9..=11).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_list_is_cut_to_what_fits_into_an_answer() {
    let mut server = TestServer::new(Policy::default());
    let (mut asker, _) = server.login("asker").await;
    let mut others = Vec::new();
    let mut number = 0;
    for other in 0..8 {
        let (mut by, _) = server.login(&format!("other{other}")).await;
        for _ in 0..FILES_HELD_MAX {
            number += 1;
            let name = format!("{:0>250}", usize::MAX - number);
            hold(&mut by, v1::Hold { content: Some(numbered(number)), ..whole(0, &name) }).await;
        }
        others.push(by);
    }
    let all = files(&mut asker, list_frame("")).await;
    assert!(all.more && all.files.len() < number && all.encoded_len() < ANSWER_BYTES_MAX);
    assert!(all.encoded_len() > ANSWER_BYTES_MAX / 10 * 9);
    assert!(all.files.windows(2).all(|two| two[0].name < two[1].name), "what comes first by name");
    assert_eq!(all.files[0].content, Some(numbered(number)));
    let some = files(&mut asker, list_frame("*99?")).await;
    assert!(!some.more && !some.files.is_empty() && some.files.len() < 1000);
}

#[tokio::test(start_paused = true)]
async fn questions_are_activity_and_what_a_client_does_by_itself_is_not() {
    let idle_timeout = Some(Duration::from_secs(60));
    let mut server = TestServer::new(Policy { idle_timeout, ..Policy::default() });
    let (mut hans, _) = server.login("hans").await;
    for _ in 0..3 {
        advance(Duration::from_secs(40)).await;
        assert_eq!(find(&mut hans, "a").await, [""; 0]);
        advance(Duration::from_secs(40)).await;
        assert_eq!(holders(&mut hans, "a", &[]).await, [""; 0]);
        advance(Duration::from_secs(40)).await;
        assert_eq!(list(&mut hans, "").await, [""; 0]);
    }
    let start = Instant::now();
    for _ in 0..5 {
        advance(Duration::from_secs(10)).await;
        hold(&mut hans, part(7, "a", &[1])).await;
        hold_more(&mut hans, 7, &[2]).await;
        sources(&mut hans, content(7)).await;
        release(&mut hans, Some(content(7))).await;
    }
    assert_eq!(hans.closed().await, Some(Close::Idle));
    assert_eq!(start.elapsed(), Duration::from_secs(60));
    let (mut yoda, _) = server.login("yoda").await;
    assert_eq!(list(&mut yoda, "").await, [""; 0]);
}
