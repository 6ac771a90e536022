//! Frames that are small on the wire and large in memory, or deep.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use hobnob_protocol::{
    close::Close,
    codec,
    limits::{ANSWER_BYTES_MAX, FRAME_BYTES_MAX, LOGIN_FRAME_BYTES_MAX},
    v1::{
        ClientFrame, Contact, FileEntry, Files, FindHolders, Hello, Lookup, Names, Source, Sources,
        client_frame::Body as Request, reply::Body as Reply,
    },
};
use tokio::time::{Instant, sleep};

use crate::{
    client::Client,
    fake::{Fake, Says, reply},
    frame::{BINARY, MORE, frame},
    pair::Pair,
    server::Server,
};

/// How far the server's memory may grow, whatever it decodes.
const GROWN_KIB_MAX: u64 = 16 * 1024;

/// Frames of so many bytes at most, each as full as can be of things that cost more in memory than on the wire.
fn swelling(id: u64, bytes_max: usize) -> Vec<(&'static str, ClientFrame)> {
    // An empty string takes two bytes on the wire, and 24 in memory.
    let many = || vec![String::new(); (bytes_max - 64) / 2];
    let frame = |body| ClientFrame { id, body: Some(body) };
    let next = |body| ClientFrame { id: id + 1, body: Some(body) };
    vec![
        ("features", frame(Request::Hello(Hello { version: 1, features: many(), ..Hello::default() }))),
        (
            "chunks",
            next(Request::FindHolders(FindHolders { name: String::new(), chunks: vec![0; bytes_max - 64] })),
        ),
        (
            "addresses",
            ClientFrame {
                id: 0,
                body: Some(Request::Contact(Contact { addresses: many(), ..Contact::default() })),
            },
        ),
    ]
}

#[tokio::test]
async fn small_frames_that_are_large_in_memory_leave_nothing_behind() {
    let server = Server::start(&["--send-rate", "off"]);
    let mut pair = Pair::open(server.address).await;
    let (mut luke, _) = Client::registered(server.address, "luke").await;
    let before = server.rss_kib();
    let mut peak = before;
    for turn in 0..30 {
        for (case, swelling) in swelling(100 + 10 * turn, LOGIN_FRAME_BYTES_MAX) {
            let mut stranger = Client::greeted(server.address).await;
            stranger.raw(&frame(BINARY, &codec::encode(&swelling))).await;
            // Whatever it was, the talk goes on behind it.
            if swelling.id > 0 {
                assert!(stranger.reply(swelling.id).await.is_ok(), "{case}");
            }
            stranger.send(swelling.id + 50, Request::Lookup(Lookup { name: "hans".to_owned() })).await;
            assert!(stranger.reply(swelling.id + 50).await.is_ok(), "{case}");
        }
        for (case, swelling) in swelling(100 + 10 * turn, FRAME_BYTES_MAX) {
            let bytes = codec::encode(&swelling);
            assert!(bytes.len() <= FRAME_BYTES_MAX, "{case}");
            luke.raw(&frame(BINARY, &bytes)).await;
            if swelling.id > 0 {
                assert!(luke.reply(swelling.id).await.is_ok(), "{case}");
            }
        }
        peak = server.rss_kib().max(peak);
        pair.talk().await;
    }
    println!("{} KiB more at most", peak - before);
    assert!(peak - before < GROWN_KIB_MAX, "{} KiB", peak - before);
    drop((pair, luke));
    server.stop();
}

/// Groups within groups, of a field that nobody knows: skipped so far, and no further.
#[tokio::test]
async fn what_is_nested_deeply_is_no_frame() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let field = 200_u32;
    let tag = |kind: u32| {
        let tag = field << 3 | kind;
        [(tag & 0x7f) as u8 | 0x80, (tag >> 7) as u8]
    };
    for depth in [200, 5000] {
        for closed in [true, false] {
            let mut bytes = tag(3).repeat(depth);
            if closed {
                bytes.extend(tag(4).repeat(depth).iter().take(LOGIN_FRAME_BYTES_MAX - bytes.len()));
            }
            let mut client = Client::greeted(server.address).await;
            client.raw(&frame(BINARY, &bytes)).await;
            client.expect_close(Close::BadFrame, &format!("{depth} deep")).await;
        }
    }
    // Many beside each other are only many.
    let many = [tag(3), tag(4)].concat().repeat(4000);
    let mut client = Client::greeted(server.address).await;
    let known = codec::encode(&ClientFrame {
        id: 7,
        body: Some(Request::Lookup(Lookup { name: "hans".to_owned() })),
    });
    client.raw(&frame(BINARY, &[&known[..], &many].concat())).await;
    assert!(matches!(client.reply(7).await, Ok(Reply::Found(_))));
    pair.talk().await;
    drop((pair, client));
    server.stop();
}

/// Parts of a message that hold nothing, without an end.
#[tokio::test]
async fn a_message_in_endless_empty_parts_costs_nothing() {
    let server = Server::start(&[]);
    let mut pair = Pair::open(server.address).await;
    let mut client = Client::greeted(server.address).await;
    let before = server.rss_kib();
    let lookup = codec::encode(&ClientFrame {
        id: 7,
        body: Some(Request::Lookup(Lookup { name: "hans".to_owned() })),
    });
    client.raw(&frame(BINARY & MORE, &lookup[..3])).await;
    let empty = frame(0x80 & MORE, &[]).repeat(10_000);
    for _ in 0..10 {
        client.raw(&empty).await;
        pair.talk().await;
    }
    client.raw(&frame(0x80, &lookup[3..])).await;
    assert!(matches!(client.reply(7).await, Ok(Reply::Found(_))));
    let grown = server.rss_kib().saturating_sub(before);
    assert!(grown < 4 * 1024, "{grown} KiB");
    drop((pair, client));
    server.stop();
}

/// Peak memory of a client that meets a server's largest frames.
const CLIENT_KIB_MAX: u64 = 128 * 1024;

/// A frame of this server is as large as it may be, and is full of entries that say nothing: of `Names`, `Files` and
/// `Sources`, each of which takes two bytes.
#[tokio::test]
async fn the_largest_frames_of_a_server_are_bounded_in_a_client() {
    let many = (ANSWER_BYTES_MAX - 32) / 2;
    for (case, body) in [
        ("names", Reply::Names(Names { names: vec![String::new(); many] })),
        ("files", Reply::Files(Files { files: vec![FileEntry::default(); many], more: false })),
        ("sources", Reply::Sources(Sources { sources: vec![Source::default(); many], ..Sources::default() })),
    ] {
        let says = reply(body);
        assert!(matches!(&says, Says::Frame(frame) if frame.len() <= ANSWER_BYTES_MAX), "{case}");
        let fake = Fake::start(says).await;
        let (code, said, peak_kib) = doctor(&fake, Duration::from_secs(30)).await;
        println!("{case}: {peak_kib} KiB at most");
        assert_eq!(code, 1, "{case}: {said}");
        assert!(peak_kib < CLIENT_KIB_MAX, "{case}: {peak_kib} KiB");
    }
}

/// Runs `hobnob doctor` against it: the exit code, what it said, and the most memory that it took, in KiB.
pub(crate) async fn doctor(fake: &Fake, deadline: Duration) -> (i32, String, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.env_clear().args(["doctor", &format!("ws://{}", fake.address), "--data"]).arg(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let (begun, mut peak_kib, mut late) = (Instant::now(), 0, false);
    // The system's own high-water mark is looked at often, since it goes with the process.
    while child.try_wait().expect("it is ours").is_none() {
        if begun.elapsed() > deadline {
            late = true;
            child.kill().expect("it is ours");
        }
        peak_kib = high_water_kib(child.id()).unwrap_or(0).max(peak_kib);
        sleep(Duration::from_millis(2)).await;
    }
    let output = child.wait_with_output().expect("it has ended");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!late, "it does not end: {said}");
    (output.status.code().unwrap_or(-1), said, peak_kib)
}

fn high_water_kib(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
