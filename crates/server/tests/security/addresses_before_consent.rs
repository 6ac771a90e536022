//! Nobody is told where somebody is before that user has consented: by a yes to private talk, or by holding a file, for
//! that file.
//!
//! For private talk, step by step, see `nothing_of_a_contact_is_told_before_consent` in `tests/private.rs`.

use hobnob_protocol::{
    codec,
    v1::{self, ServerFrame, client_frame::Body, reply, server_frame, submitted::Outcome},
};
use hobnob_server::config::Policy;
use tokio::time::{Duration, timeout};

use crate::support::{Connection, TestServer, block, broadcast, message, unblock};

const SECRET: &str = "203.0.113";

fn content(byte: u8) -> v1::Content {
    v1::Content { id: vec![byte; 32].into(), size: 5 }
}

async fn is_at(who: &mut Connection, host: u8) {
    let contact = v1::Contact {
        addresses: vec![format!("{SECRET}.{host}:40000"), format!("[2001:db8::{host}]:40000")],
        relay: true,
        tcp: vec![format!("{SECRET}.{host}:40001")],
    };
    who.send(0, Body::Contact(contact)).await;
    // Notes have no reply; behind a request they have been dealt with.
    let _ = who.request(Body::ListBlocks(v1::ListBlocks {})).await;
}

/// Whether these bytes, as they came, tell of any address.
fn tells(body: &server_frame::Body) -> bool {
    let bytes = codec::encode(&ServerFrame { body: Some(body.clone()) });
    bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
        || bytes.windows(8).any(|part| part == b"2001:db8")
}

/// Asks for everything there is to ask for; whether any answer, or anything else that came, told of an address.
async fn learns(who: &mut Connection, user: &str) -> bool {
    let questions = [
        Body::WhoElse(v1::WhoElse {}),
        Body::WhoElseSince(v1::WhoElseSince { seconds: 3600 }),
        Body::ListBlocks(v1::ListBlocks {}),
        Body::MaySee(v1::MaySee { user: user.to_owned() }),
        Body::Invite(v1::Invite { user: user.to_owned() }),
        Body::AnswerInvite(v1::AnswerInvite { invite: vec![7; 16].into(), accept: true }),
        Body::ListFiles(v1::ListFiles::default()),
        Body::FindFile(v1::FindFile { meant: "film".to_owned() }),
        Body::FindHolders(v1::FindHolders { name: "film".to_owned(), chunks: Vec::new() }),
        Body::FindSources(v1::FindSources { content: Some(content(1)) }),
        Body::FindSources(v1::FindSources { content: Some(content(2)) }),
        Body::FindSources(v1::FindSources { content: None }),
        Body::Fetch(v1::Fetch { stream: v1::Stream::Inbox as i32, after: 0 }),
    ];
    let mut told = false;
    for question in questions {
        let body = who.request(question).await;
        told |= tells(&server_frame::Body::Reply(v1::Reply { id: 1, body: Some(body) }));
    }
    while let Ok(Ok(event)) = timeout(Duration::from_millis(1), who.next()).await {
        who.events.push(event);
    }
    told | who.events.drain(..).any(|event| tells(&event))
}

#[tokio::test(start_paused = true)]
async fn no_frame_tells_an_address_of_who_holds_nothing_and_has_not_consented() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    is_at(&mut hans, 77).await;
    assert_eq!(hans.outcome(1, message("yoda", "hi")).await, Outcome::Accepted);
    assert_eq!(hans.outcome(2, broadcast("hi")).await, Outcome::Accepted);
    assert!(!learns(&mut yoda, "hans").await, "a request that stands is no consent");
    // What hans asks for tells nothing of hans either, nor does it end a silence of yoda.
    is_at(&mut yoda, 88).await;
    assert!(!learns(&mut hans, "nobody").await);
}

/// Who holds a file has consented for this file, to those it does not block, and until it holds it no more.
#[tokio::test(start_paused = true)]
async fn who_holds_a_file_is_found_for_it_alone_and_not_by_whom_it_blocks() {
    let mut server = TestServer::new(Policy::default());
    let (mut hans, _) = server.login("hans").await;
    let (mut yoda, _) = server.login("yoda").await;
    is_at(&mut hans, 77).await;
    let hold = v1::Hold {
        content: Some(content(1)),
        name: "film".to_owned(),
        complete: true,
        ..v1::Hold::default()
    };
    assert!(matches!(hans.request(Body::Hold(hold)).await, reply::Body::Done(_)));
    let of = |byte| Body::FindSources(v1::FindSources { content: Some(content(byte)) });
    let sources = |body| match body {
        reply::Body::Sources(sources) => sources,
        other => panic!("{other:?}"),
    };
    let found = sources(yoda.request(of(1)).await);
    assert_eq!(found.sources[0].tcp, [format!("{SECRET}.77:40001")]);
    assert!(sources(yoda.request(of(2)).await).sources.is_empty());
    assert!(learns(&mut yoda, "hans").await, "what is told to who may know is noticed here");
    assert_eq!(hans.outcome(1, block("yoda")).await, Outcome::Accepted);
    assert!(!learns(&mut yoda, "hans").await, "blocked");
    assert_eq!(hans.outcome(2, unblock("yoda")).await, Outcome::Accepted);
    let release = Body::Release(v1::Release { content: Some(content(1)) });
    assert!(matches!(hans.request(release).await, reply::Body::Done(_)));
    assert!(!learns(&mut yoda, "hans").await, "released");
}
