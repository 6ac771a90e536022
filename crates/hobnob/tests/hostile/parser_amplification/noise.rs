//! Random frames from a fixed seed: each is answered, or closes the connection with a code that is documented.

use bytes::Bytes;
use hobnob_protocol::{
    close::Close,
    codec,
    limits::FRAME_BYTES_MAX,
    v1::{
        Alive, Block, Broadcast, ClientFrame, Device, DirectMessage, Fetch, Hello, ListBlocks, Login, Lookup,
        Opened, Position, Received, Resume, Submit, Unblock, WhoElse, WhoElseSince,
        client_frame::Body as Request, login::Proof, reply::Body as Reply, server_frame::Body as Event,
        submit::Op,
    },
};

use crate::{
    client::{Client, Closed},
    frame::{BINARY, Chance, frame},
    pair::Pair,
    server::Server,
};

const SEED: u64 = 20_260_000;
/// Before a login, and again in sessions.
const FRAMES: usize = 1000;
/// One in so many is broken below the level of frames.
const BROKEN: usize = 12;

#[tokio::test]
async fn random_frames_before_a_login_are_answered_or_close_with_a_code() {
    let server = Server::start(&["--send-rate", "off"]);
    let mut pair = Pair::open(server.address).await;
    let mut chance = Chance(SEED);
    let mut client = Client::greeted(server.address).await;
    let mut last_id = 1;
    for number in 0..FRAMES {
        let bytes = draw(&mut chance, last_id + 1);
        if let Err(closed) = provoke(&mut client, &bytes, &mut last_id).await {
            let close = closed.and_then(Close::from_code);
            let expected = [Close::BadFrame, Close::TooLarge, Close::LoginTimeout];
            assert!(close.is_some_and(|close| expected.contains(&close)), "{number}: {closed:?}");
            (client, last_id) = (Client::greeted(server.address).await, 1);
        }
        if number % 100 == 0 {
            pair.talk().await;
        }
    }
    drop((pair, client));
    server.stop();
}

#[tokio::test]
async fn random_frames_in_a_session_are_answered_or_close_with_a_code() {
    let server = Server::start(&["--send-rate", "off"]);
    let mut pair = Pair::open(server.address).await;
    let mut chance = Chance(SEED + 1);
    let (mut client, session): (Client, Opened) = Client::registered(server.address, "luke").await;
    let mut last_id = 2;
    for number in 0..FRAMES {
        let bytes = draw(&mut chance, last_id + 1);
        if let Err(closed) = provoke(&mut client, &bytes, &mut last_id).await {
            let close = closed.and_then(Close::from_code);
            assert!(matches!(close, Some(Close::BadFrame | Close::TooLarge)), "{number}: {closed:?}");
            (client, last_id) = (Client::resumed(server.address, &session, 0).await, 2);
        }
        if number % 100 == 0 {
            pair.talk().await;
        }
    }
    drop((pair, client));
    server.stop();
}

/// Sends a message and waits for what it leads to: nothing after a note, an answer, or the end.
async fn provoke(client: &mut Client, bytes: &[u8], last_id: &mut u64) -> Result<(), Closed> {
    client.raw(&frame(BINARY, bytes)).await;
    let decoded = codec::decode_client(Bytes::copy_from_slice(bytes), FRAME_BYTES_MAX);
    let note = |frame: &ClientFrame| matches!(frame.body, Some(Request::Received(_) | Request::Alive(_)));
    match decoded {
        Ok(frame) if note(&frame) && frame.id == 0 => Ok(()),
        Ok(frame) if !note(&frame) && frame.id > *last_id => {
            *last_id = frame.id;
            answered(client, frame.id).await
        }
        _ => Err(client.closed().await),
    }
}

async fn answered(client: &mut Client, id: u64) -> Result<(), Closed> {
    loop {
        if let Event::Reply(reply) = client.read().await? {
            assert_eq!(reply.id, id, "{reply:?}");
            assert!(!matches!(reply.body, None | Some(Reply::Opened(_) | Reply::Greeting(_))), "{reply:?}");
            return Ok(());
        }
    }
}

/// The next message: a frame full of nonsense, sometimes damaged.
fn draw(chance: &mut Chance, id: u64) -> Vec<u8> {
    let id = if chance.below(40) == 0 { chance.draw() % 3 } else { id };
    let (id, body) = match chance.below(13) {
        0 => (id, Request::Hello(Hello { version: chance.draw() as u32, ..Hello::default() })),
        1 => (id, Request::Lookup(Lookup { name: text(chance) })),
        2 => (id, Request::Login(login(chance))),
        3 => (id, Request::Resume(resume(chance))),
        4..8 => (id, Request::Submit(Submit { number: chance.draw() % 4, op: op(chance) })),
        8 => (id, Request::Fetch(Fetch { stream: chance.draw() as i32 % 4, after: extreme(chance) })),
        9 => (id, Request::WhoElseSince(WhoElseSince { seconds: extreme(chance) })),
        10 => (id, Request::WhoElse(WhoElse {})),
        11 => (id, Request::ListBlocks(ListBlocks {})),
        _ if chance.below(2) == 0 => (0, Request::Alive(Alive {})),
        _ => (0, Request::Received(Received { inbox: extreme(chance), broadcast: extreme(chance) })),
    };
    let mut bytes = codec::encode(&ClientFrame { id, body: Some(body) }).to_vec();
    if chance.below(BROKEN) == 0 {
        damage(chance, &mut bytes);
    }
    bytes
}

fn damage(chance: &mut Chance, bytes: &mut Vec<u8>) {
    match chance.below(3) {
        0 => bytes.truncate(chance.below(bytes.len())),
        1 => {
            let place = chance.below(bytes.len());
            bytes[place] ^= 1 << chance.below(8);
        }
        _ => {
            let len = chance.below(300);
            *bytes = chance.bytes(len);
        }
    }
}

/// Numbers at which arithmetic goes wrong.
fn extreme(chance: &mut Chance) -> u64 {
    let edge = [0, 1, u64::MAX, u64::MAX - 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::from(u32::MAX)];
    match chance.below(10) {
        place @ 0..7 => edge[place],
        _ => chance.draw(),
    }
}

/// Names, real ones too, and text with everything that text may not have.
fn text(chance: &mut Chance) -> String {
    match chance.below(6) {
        0 => String::new(),
        1 => "luke".to_owned(),
        2 => "HANS".to_owned(),
        3 => "a\u{0}\u{1b}[2J\u{202e}\u{200d}\u{ffff}\u{10ffff}".to_owned(),
        4 => "ẛ̣".repeat(chance.below(200)),
        _ => {
            let mut text = String::new();
            for _ in 0..chance.below(60) {
                text.extend(char::from_u32(chance.draw() as u32 % 0x11_0000));
            }
            text
        }
    }
}

fn op(chance: &mut Chance) -> Option<Op> {
    Some(match chance.below(5) {
        0 => Op::Message(DirectMessage { to: text(chance), text: text(chance) }),
        1 => Op::Broadcast(Broadcast { text: text(chance) }),
        2 => Op::Block(Block { user: text(chance) }),
        3 => Op::Unblock(Unblock { user: text(chance) }),
        _ => return None,
    })
}

fn device(chance: &mut Chance) -> Option<Device> {
    let bytes = |chance: &mut Chance, right: usize| {
        let len = if chance.below(2) == 0 { right } else { chance.below(80) };
        Bytes::from(chance.bytes(len))
    };
    let (key, signature, outbox) = (bytes(chance, 32), bytes(chance, 64), bytes(chance, 16));
    (chance.below(4) > 0).then_some(Device { key, signature, outbox })
}

fn position(chance: &mut Chance) -> Option<Position> {
    let epoch = Bytes::from(chance.bytes(16));
    let (inbox, broadcast) = (extreme(chance), extreme(chance));
    (chance.below(2) == 0).then_some(Position { epoch, inbox, broadcast })
}

fn login(chance: &mut Chance) -> Login {
    let proof = match chance.below(3) {
        0 => None,
        1 => Some(Proof::Password(text(chance))),
        _ => Some(Proof::Token(Bytes::from(chance.bytes(32)))),
    };
    Login {
        name: text(chance),
        proof,
        register: chance.below(2) == 0,
        background: chance.below(2) == 0,
        device: device(chance),
        position: position(chance),
    }
}

fn resume(chance: &mut Chance) -> Resume {
    let token = Bytes::from(chance.bytes(32));
    Resume { name: text(chance), token, device: device(chance), position: position(chance) }
}
