//! What is left behind in folders that no process has is delivered by whoever comes online, within bounds.

use super::*;
use crate::Welcome;
use crate::storage::{Folder, Record};

/// Leaves messages in a folder, as a process that gave up.
fn leave(folder: &mut Folder, texts: &[&str]) {
    let records = (1..).zip(texts).map(|(number, text)| {
        let message = v1::DirectMessage { to: "luke".into(), text: (*text).into() };
        Record::Added(v1::Submit { number, op: Some(v1::submit::Op::Message(message)) })
    });
    folder.outbox.write(&records.collect::<Vec<_>>()).unwrap();
}

fn open(stage: &Stage, slot: Slot) -> Folder {
    disk(stage.folder.path()).open("yoda", slot).ok().unwrap()
}

/// Logs in while `server` sees to all connections.
async fn log_in<T>(
    stage: &mut Stage,
    server: impl AsyncFnOnce(&mut Stage) -> T,
) -> (Client, Events, Welcome, T) {
    let (config, parts) = (stage.config(), stage.parts.clone());
    let client = async {
        let mut door = Door::with_parts(config, parts).await.unwrap();
        match door.login("yoda", Proof::Password("secret".into()), false).await.unwrap() {
            Login::In { client, events, welcome } => (client, events, welcome),
            refused => panic!("{refused:?}"),
        }
    };
    let ((client, events, welcome), served) = tokio::join!(client, server(stage));
    (client, events, welcome, served)
}

async fn first(stage: &mut Stage) -> Peer {
    let mut peer = stage.peer().await;
    assert!(matches!(peer.welcome(opened()).await, client_frame::Body::Login(login) if !login.background));
    peer
}

/// The background login on the next connection.
async fn second(stage: &mut Stage) -> (Peer, v1::Login) {
    let mut peer = stage.peer().await;
    let granted = v1::Opened { token: vec![5; 32].into(), ..opened() };
    let client_frame::Body::Login(login) = peer.welcome(granted).await else { panic!() };
    assert!(login.background && login.proof == Some(v1::login::Proof::Token(vec![9; 32].into())));
    (peer, login)
}

fn is_left_over(event: Option<Event>, text: &str) {
    let told =
        matches!(&event, Some(Event::Answer { ticket: None, command, .. }) if *command == message(text));
    assert!(told, "{event:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_behind_is_delivered_before_the_session_is_handed_out() {
    let mut stage = Stage::new();
    let mut one_shot = open(&stage, Slot::OneShot);
    let mut spare = open(&stage, Slot::OneShot);
    leave(&mut one_shot, &["one", "two"]);
    one_shot.token.save(b"its own").unwrap();
    leave(&mut spare, &["three"]);
    let names = [one_shot.outbox.name(), spare.outbox.name()];
    drop((one_shot, spare, open(&stage, Slot::Tail)));
    let (_client, mut events, welcome, _peer) = log_in(&mut stage, async |stage| {
        let peer = first(stage).await;
        for (name, count) in names.into_iter().zip([2, 1]) {
            let (mut peer, login) = second(stage).await;
            assert_eq!(login.device.unwrap().outbox, name[..]);
            for number in 1..=count {
                assert_eq!(peer.accept_submit().await.number, number);
            }
            assert!(peer.next().await.is_none(), "one connection for each");
        }
        peer
    })
    .await;
    assert_eq!((welcome.left_over, welcome.damaged), (3, false));
    for text in ["one", "two", "three"] {
        is_left_over(events.next().await, text);
    }
    let storage = disk(stage.folder.path());
    assert!(storage.left_behind("yoda", 0).is_none());
    assert_eq!(storage.saved_token("yoda", Slot::OneShot).unwrap(), "its own");
    let folder = open(&stage, Slot::OneShot);
    assert_eq!((folder.waiting.submits.len(), folder.waiting.next), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_folder_in_use_is_left_alone() {
    let mut stage = Stage::new();
    let mut one_shot = open(&stage, Slot::OneShot);
    leave(&mut one_shot, &["one"]);
    let (_client, _events, welcome, _peer) = log_in(&mut stage, first).await;
    assert_eq!(welcome.left_over, 0);
    assert!(stage.peers.try_recv().is_err(), "no other connection");
    drop(one_shot);
    assert_eq!(open(&stage, Slot::OneShot).waiting.submits.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_in_time_stays() {
    let mut stage = Stage::new();
    let mut one_shot = open(&stage, Slot::OneShot);
    let mut spare = open(&stage, Slot::OneShot);
    leave(&mut one_shot, &["one", "two"]);
    leave(&mut spare, &["three"]);
    drop((one_shot, spare));
    let before = Instant::now();
    let (client, mut events, welcome, mut peer) = log_in(&mut stage, async |stage| {
        let peer = first(stage).await;
        let (mut other, _) = second(stage).await;
        other.accept_submit().await;
        while other.next().await.is_some() {}
        peer
    })
    .await;
    assert!(before.elapsed() < Duration::from_secs(11), "{:?}", before.elapsed());
    assert_eq!(welcome.left_over, 1);
    is_left_over(events.next().await, "one");
    let folder = open(&stage, Slot::OneShot);
    assert_eq!(folder.waiting.submits.iter().map(|submit| submit.number).collect::<Vec<_>>(), [2]);
    let ticket = client.submit(message("now")).await.unwrap();
    peer.accept_submit().await;
    is_accepted(events.next().await, ticket);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_is_asked_once_for_each() {
    let mut stage = Stage::new();
    let mut one_shot = open(&stage, Slot::OneShot);
    let mut spare = open(&stage, Slot::OneShot);
    leave(&mut one_shot, &["one"]);
    leave(&mut spare, &["two"]);
    drop((one_shot, spare));
    let (_client, mut events, welcome, _peer) = log_in(&mut stage, async |stage| {
        let peer = first(stage).await;
        let mut other = stage.peer().await;
        let hello = other.next().await.unwrap();
        let greeting = v1::Greeting { version: 1, ..v1::Greeting::default() };
        other.reply(hello.id, reply::Body::Greeting(greeting)).await;
        let asked = other.next().await.unwrap();
        let busy = v1::Refused { reason: v1::refused::Reason::Busy.into(), ..v1::Refused::default() };
        other.reply(asked.id, reply::Body::Refused(busy)).await;
        second(stage).await.0.accept_submit().await;
        peer
    })
    .await;
    assert_eq!(welcome.left_over, 1);
    is_left_over(events.next().await, "two");
    assert_eq!(open(&stage, Slot::OneShot).waiting.submits.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_outbox_is_told() {
    for slot in [Slot::Chat, Slot::Tail] {
        let mut stage = Stage::new();
        drop(open(&stage, slot));
        let outbox = stage.folder.path().join(format!("localhost_4000/yoda/{}/outbox", slot.number()));
        std::fs::write(&outbox, b"nonsense").unwrap();
        let (_client, _events, welcome, _peer) = log_in(&mut stage, first).await;
        assert!(welcome.damaged, "{slot:?}");
        assert!(outbox.with_extension("damaged").exists());
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_contact_on_a_later_connection_is_told() {
    let mut stage = Stage::new();
    let (_client, mut events, peer) = stage.log_in(false).await;
    *stage.net.2.lock().unwrap() = Some("SHA256:new".into());
    peer.close(None);
    assert_eq!(events.next().await, Some(Event::Disconnected));
    // Even if nothing comes of that connection.
    stage.peer().await.close(None);
    assert_eq!(events.next().await, Some(Event::FirstContact("SHA256:new".into())));
    let mut peer = stage.peer().await;
    peer.welcome(opened()).await;
    assert_eq!(events.next().await, Some(Event::Reconnected));
}
