//! Replays what the fuzzers found worth keeping, so that it is checked without them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use hobnob_protocol::codec::encode;
use hobnob_protocol::v1::{
    self, client_frame, file_frame, peer_event, reply, server_frame, submit, talk_frame,
};

#[path = "../../../fuzz/properties/frame.rs"]
mod frame;
#[path = "../../../fuzz/properties/peer.rs"]
mod peer;
#[path = "../../../fuzz/properties/text.rs"]
mod text;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

fn replay(target: &str, holds: fn(&[u8])) {
    let mut files = 0;
    for entry in fs::read_dir(corpus(target)).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        holds(&fs::read(&path).unwrap());
        files += 1;
    }
    assert!(files >= 12, "the corpus of {target} is there");
}

#[test]
fn frames_of_the_corpus() {
    replay("frame", frame::holds);
}

#[test]
fn peer_frames_of_the_corpus() {
    replay("peer", peer::holds);
}

#[test]
fn texts_of_the_corpus() {
    replay("text", text::holds);
}

/// Where the corpora began: `cargo test -p hobnob-protocol --test corpus -- --ignored`.
#[test]
#[ignore = "writes the seeds of the corpora"]
fn write_seeds() {
    for (name, body) in client_bodies().into_iter().chain(requests_for_files()) {
        let frame = v1::ClientFrame { id: 7, body: Some(body) };
        fs::write(corpus("frame").join(name), encode(&frame)).unwrap();
    }
    for (name, body) in server_bodies() {
        let frame = v1::ServerFrame { body: Some(body) };
        fs::write(corpus("frame").join(name), encode(&frame)).unwrap();
    }
    for (name, body) in talk_bodies() {
        fs::write(corpus("peer").join(name), encode(&v1::TalkFrame { body: Some(body) })).unwrap();
    }
    for (name, body) in file_bodies() {
        fs::write(corpus("peer").join(name), encode(&v1::FileFrame { body: Some(body) })).unwrap();
    }
    fs::write(corpus("peer").join("ticket"), encode(&ticket())).unwrap();
    for (name, bytes) in BROKEN {
        fs::write(corpus("peer").join(name), bytes).unwrap();
    }
    for (name, text) in TEXTS {
        fs::write(corpus("text").join(name), text).unwrap();
    }
}

fn client_bodies() -> Vec<(&'static str, client_frame::Body)> {
    use client_frame::Body;
    let device = || {
        Some(v1::Device {
            key: vec![1; 32].into(),
            signature: vec![2; 64].into(),
            outbox: vec![3; 16].into(),
        })
    };
    let position = || Some(v1::Position { epoch: vec![4; 8].into(), inbox: 300, broadcast: 2 });
    let submit = |op| Body::Submit(v1::Submit { number: 300, op: Some(op) });
    let proof = |proof| v1::Login {
        name: "Hans".into(),
        proof: Some(proof),
        register: true,
        background: true,
        device: device(),
        position: position(),
        invitation: bytes::Bytes::new(),
    };
    vec![
        (
            "hello",
            Body::Hello(v1::Hello { version: 1, features: vec!["x".into()], agent: "hobnob/0.1.0".into() }),
        ),
        ("lookup", Body::Lookup(v1::Lookup { name: "hans".into(), ..v1::Lookup::default() })),
        ("login_password", Body::Login(proof(v1::login::Proof::Password("secret".into())))),
        ("login_token", Body::Login(proof(v1::login::Proof::Token(vec![5; 32].into())))),
        (
            "resume",
            Body::Resume(v1::Resume {
                name: "hans".into(),
                token: vec![5; 32].into(),
                device: device(),
                position: position(),
            }),
        ),
        ("message", submit(submit::Op::Message(v1::DirectMessage { to: "yoda".into(), text: "hi".into() }))),
        ("broadcast", submit(submit::Op::Broadcast(v1::Broadcast { text: "Jürgen\n".into() }))),
        ("block", submit(submit::Op::Block(v1::Block { user: "yoda".into() }))),
        ("unblock", submit(submit::Op::Unblock(v1::Unblock { user: "yoda".into() }))),
        ("fetch", Body::Fetch(v1::Fetch { stream: v1::Stream::Inbox as i32, after: u64::MAX })),
        ("who_else", Body::WhoElse(v1::WhoElse {})),
        ("who_else_since", Body::WhoElseSince(v1::WhoElseSince { seconds: 60 })),
        ("list_blocks", Body::ListBlocks(v1::ListBlocks {})),
        (
            "change_password",
            Body::ChangePassword(v1::ChangePassword { old_password: "a".into(), new_password: "b".into() }),
        ),
        ("logout", Body::Logout(v1::Logout {})),
        ("received", Body::Received(v1::Received { inbox: 301, broadcast: 2 })),
        ("alive", Body::Alive(v1::Alive {})),
        ("invite", Body::Invite(v1::Invite { user: "yoda".into() })),
        ("answer_invite", Body::AnswerInvite(v1::AnswerInvite { invite: vec![8; 16].into(), accept: true })),
        ("cancel_invite", Body::CancelInvite(v1::CancelInvite { invite: vec![8; 16].into() })),
        ("may_see", Body::MaySee(v1::MaySee { user: "yoda".into() })),
        ("contact", Body::Contact(contact())),
    ]
}

fn content() -> Option<v1::Content> {
    Some(v1::Content { id: vec![10; 32].into(), size: 5 << 20 })
}

fn folder() -> Option<v1::Folder> {
    Some(v1::Folder { bytes: 1 << 33, files: 300 })
}

fn requests_for_files() -> Vec<(&'static str, client_frame::Body)> {
    use client_frame::Body;
    let (content, chunks) = (content(), bytes::Bytes::from_static(&[0xff, 0x0f]));
    let hold = v1::Hold {
        content: content.clone(),
        name: "Übung.pdf".into(),
        complete: true,
        chunks: chunks.clone(),
        folder: folder(),
        inner: true,
    };
    vec![
        ("hold", Body::Hold(hold)),
        ("hold_more", Body::HoldMore(v1::HoldMore { content: content.clone(), chunks })),
        ("release", Body::Release(v1::Release { content: content.clone() })),
        ("list_files", Body::ListFiles(v1::ListFiles { pattern: "*.p?f".into() })),
        ("find_file", Body::FindFile(v1::FindFile { meant: "0a0a0a".into() })),
        (
            "find_holders",
            Body::FindHolders(v1::FindHolders { name: "Übung.pdf".into(), chunks: vec![0, 300] }),
        ),
        ("find_sources", Body::FindSources(v1::FindSources { content })),
    ]
}

fn answers_about_files() -> Vec<(&'static str, reply::Body)> {
    let entry =
        v1::FileEntry { content: content(), name: "Übung.pdf".into(), sources: 300, folder: folder() };
    let source = v1::Source {
        user: "Yoda".into(),
        key: vec![9; 32].into(),
        complete: true,
        chunks: vec![0xff, 0x0f].into(),
        addresses: contact().addresses,
        relay: true,
        tcp: contact().tcp,
    };
    let sources =
        v1::Sources { sources: vec![source], ticket: vec![11; 120].into(), signature: vec![12; 64].into() };
    vec![
        ("files", reply::Body::Files(v1::Files { files: vec![entry], more: true })),
        ("sources", reply::Body::Sources(sources)),
    ]
}

fn contact() -> v1::Contact {
    v1::Contact {
        addresses: vec!["192.0.2.7:40000".into(), "[2001:db8::7]:40000".into()],
        relay: true,
        tcp: vec!["192.0.2.7:40001".into()],
    }
}

fn peer_events() -> Vec<(&'static str, peer_event::Event)> {
    use peer_event::Event;
    let invite = || vec![8; 16].into();
    let introduced = v1::Introduced {
        invite: invite(),
        user: "Yoda".into(),
        key: vec![9; 32].into(),
        contact: Some(contact()),
        dials: true,
        you_block: true,
        valid_ms: 30_000,
    };
    let ended = v1::InviteEnded {
        invite: invite(),
        user: "Yoda".into(),
        reason: v1::invite_ended::Reason::Withdrawn as i32,
    };
    vec![
        ("asked", Event::Asked(v1::Asked { invite: invite(), user: "Yoda".into() })),
        ("invite_ended", Event::Ended(ended)),
        ("introduced", Event::Introduced(introduced)),
        ("peer_contact", Event::Contact(v1::PeerContact { invite: invite(), contact: Some(contact()) })),
    ]
}

fn server_bodies() -> Vec<(&'static str, server_frame::Body)> {
    use reply::Body as Answer;
    use server_frame::Body;
    let reply = |body| Body::Reply(v1::Reply { id: 7, body: Some(body) });
    let limits =
        v1::Limits { send_rate: 50, send_burst: 200, broadcast_rate: 1, broadcast_burst: 10, in_flight: 32 };
    let greeting = v1::Greeting {
        version: 1,
        features: Vec::new(),
        nonce: vec![6; 32].into(),
        server_key: vec![7; 32].into(),
        relay: Some(v1::Relay { discovery_port: 4000 }),
    };
    let opened = v1::Opened {
        name: "Hans".into(),
        token: vec![5; 32].into(),
        welcome: "Welcome!".into(),
        failed_logins: 2,
        epoch: vec![4; 8].into(),
        inbox: 300,
        broadcast: 2,
        inbox_head: 302,
        outbox_last: 299,
        limits: Some(limits),
        ticket_key: vec![9; 32].into(),
    };
    let refused =
        v1::LoginRefused { reason: v1::login_refused::Reason::WrongPassword as i32, text: "no".into() };
    let submitted = v1::Submitted {
        outcome: v1::submitted::Outcome::Gap as i32,
        user: "Yoda".into(),
        expected: 5,
        ..v1::Submitted::default()
    };
    let entry = v1::Entry {
        stream: v1::Stream::Inbox as i32,
        seq: 301,
        sender: "Yoda".into(),
        text: "hi".into(),
        sent_ms: 1_700_000_000_000,
    };
    let invited = v1::Invited {
        outcome: v1::invited::Outcome::Asked as i32,
        user: "Yoda".into(),
        invite: vec![8; 16].into(),
    };
    let peer = |(name, event)| (name, Body::Peer(v1::PeerEvent { event: Some(event) }));
    let told = vec![
        ("greeting", reply(Answer::Greeting(greeting))),
        (
            "found",
            reply(Answer::Found(v1::Found {
                answer: v1::found::Answer::Refused as i32,
                reason: "no".into(),
            })),
        ),
        ("opened", reply(Answer::Opened(opened))),
        ("login_refused", reply(Answer::LoginRefused(refused))),
        ("submitted", reply(Answer::Submitted(submitted))),
        ("names", reply(Answer::Names(v1::Names { names: vec!["hans".into(), "yoda".into()] }))),
        ("done", reply(Answer::Done(v1::Done {}))),
        (
            "refused",
            reply(Answer::Refused(v1::Refused {
                reason: v1::refused::Reason::Busy as i32,
                text: "no".into(),
            })),
        ),
        ("entry", Body::Entry(entry)),
        ("skip", Body::Skip(v1::Skip { stream: v1::Stream::Broadcast as i32, upto: 9 })),
        ("truncated", Body::Truncated(v1::Truncated { stream: v1::Stream::Inbox as i32, from: 1, to: 9 })),
        ("presence", Body::Presence(v1::Presence { user: "Yoda".into(), online: true })),
        ("invited", reply(Answer::Invited(invited))),
        ("sight", reply(Answer::Sight(v1::Sight { may: true }))),
    ];
    let about_files = answers_about_files().into_iter().map(|(name, body)| (name, reply(body)));
    told.into_iter().chain(peer_events().into_iter().map(peer)).chain(about_files).collect()
}

fn talk_bodies() -> Vec<(&'static str, talk_frame::Body)> {
    use talk_frame::Body;
    let bye = v1::TalkBye { reason: v1::talk_bye::Reason::Left as i32 };
    vec![
        ("talk_hello", Body::Hello(v1::TalkHello { invite: vec![8; 16].into() })),
        ("talk_text", Body::Text(v1::TalkText { number: 300, text: "Jürgen\n".into() })),
        ("talk_ack", Body::Ack(v1::TalkAck { upto: u64::MAX })),
        ("talk_bye", Body::Bye(bye)),
    ]
}

fn ticket() -> v1::Ticket {
    let (key, id) = (vec![9; 32].into(), vec![10; 32].into());
    v1::Ticket { key, user: "Yoda".into(), id, size: 5 << 20, expires_ms: 1_700_000_000_000 }
}

fn file_bodies() -> Vec<(&'static str, file_frame::Body)> {
    use file_frame::Body;
    let open = v1::FileOpen {
        id: vec![10; 32].into(),
        size: 5 << 20,
        ticket: encode(&ticket()),
        signature: vec![12; 64].into(),
    };
    let refused = v1::FileRefused { why: v1::file_refused::Why::NotHere as i32, chunk: 300 };
    vec![
        ("file_open", Body::Open(open)),
        ("file_opened", Body::Opened(v1::FileOpened { complete: false, chunks: vec![0xff, 0x0f].into() })),
        ("file_ask", Body::Ask(v1::FileAsk { chunk: 300 })),
        ("file_cancel", Body::Cancel(v1::FileCancel { chunk: 300 })),
        ("file_data", Body::Data(v1::FileData { chunk: 300, bytes: u32::MAX })),
        ("file_refused", Body::Refused(refused)),
        ("file_have", Body::Have(v1::FileHave { chunks: vec![0, 1, 300, u32::MAX] })),
        ("file_ask_manifest", Body::AskManifest(v1::FileAskManifest {})),
        ("file_manifest", Body::Manifest(v1::FileManifest { bytes: u32::MAX })),
    ]
}

/// A length beyond the end, an endless number, groups within groups, a text that is none, two bodies, an enum below zero.
const BROKEN: [(&str, &[u8]); 6] = [
    ("length", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ("varint", &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
    ("groups", &[0x7b, 0x7b, 0x7b, 0x7b, 0x7b, 0x7c, 0x7c]),
    ("no_text", &[0x12, 0x04, 0x12, 0x02, 0xff, 0xfe]),
    ("two", &[0x1a, 0x02, 0x08, 0x07, 0x22, 0x02, 0x08, 0x01, 0x1a, 0x00]),
    ("below", &[0x22, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
];

const TEXTS: [(&str, &str); 16] = [
    ("plain", "hans"),
    ("capital", "HANS.v-1_2"),
    ("accent", "Ju\u{308}rgen"),
    ("wide", "Ｈａｎｓ"),
    ("cyrillic", "hаns иван"),
    ("japanese", "田中さん ｶﾞﾝ"),
    ("hangul", "\u{1112}\u{1161}\u{11ab} \u{3164}"),
    ("hebrew", "abcא אבג1"),
    ("digits", "\u{660}\u{661} \u{6f0}a"),
    ("context", "l\u{b7}l \u{375}α א\u{5f3} \u{30fb}ア"),
    ("escape", "\u{1b}[2J\u{9b}31m\u{7f}\r\n\tx"),
    ("bidi", "\u{202e}cod.exe\u{2066}\u{61c}\u{200f}"),
    ("tags", "🏴\u{e0067}\u{e007f}\u{fdd0}\u{10ffff}"),
    ("emoji", "👨\u{200d}👩\u{200d}👧 1\u{fe0f}\u{20e3} 👍🏽"),
    ("marks", "z\u{336}\u{336}\u{336}\u{336}\u{336}\u{336}\u{336}\u{336}\u{336}\u{336}"),
    ("joiners", "می\u{200c}خواهم ad\u{200d}min \u{feff}\u{2028}"),
];
