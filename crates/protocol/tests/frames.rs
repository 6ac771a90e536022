//! The codec against anything that can come over the wire.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bytes::Bytes;
use hobnob_protocol::codec::{DecodeError, decode_client, decode_server, encode};
use hobnob_protocol::limits::{FRAME_BYTES_MAX, TEXT_BYTES_MAX};
use hobnob_protocol::v1::{self, client_frame, peer_event, reply, server_frame, submit};
use proptest::prelude::*;

fn bytes(upto: usize) -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..upto).prop_map(Bytes::from)
}

fn words() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(any::<String>(), 0..5)
}

fn device() -> impl Strategy<Value = v1::Device> {
    (bytes(40), bytes(70), bytes(20)).prop_map(|(key, signature, outbox)| v1::Device {
        key,
        signature,
        outbox,
    })
}

fn position() -> impl Strategy<Value = v1::Position> {
    (bytes(20), any::<u64>(), any::<u64>()).prop_map(|(epoch, inbox, broadcast)| v1::Position {
        epoch,
        inbox,
        broadcast,
    })
}

fn login() -> impl Strategy<Value = v1::Login> {
    let proof = prop_oneof![
        any::<String>().prop_map(v1::login::Proof::Password),
        bytes(40).prop_map(v1::login::Proof::Token)
    ];
    let parts = (any::<String>(), proptest::option::of(proof), any::<[bool; 2]>());
    (parts, proptest::option::of(device()), proptest::option::of(position()), bytes(20)).prop_map(
        |((name, proof, [register, background]), device, position, invitation)| v1::Login {
            name,
            proof,
            register,
            background,
            device,
            position,
            invitation,
        },
    )
}

fn submission() -> impl Strategy<Value = v1::Submit> {
    use submit::Op;
    let op = (any::<String>(), any::<String>(), 0..4).prop_map(|(user, text, kind)| match kind {
        0 => Op::Message(v1::DirectMessage { to: user, text }),
        1 => Op::Broadcast(v1::Broadcast { text }),
        2 => Op::Block(v1::Block { user }),
        _ => Op::Unblock(v1::Unblock { user }),
    });
    (any::<u64>(), proptest::option::of(op)).prop_map(|(number, op)| v1::Submit { number, op })
}

fn contact() -> impl Strategy<Value = v1::Contact> {
    (words(), any::<bool>(), words()).prop_map(|(addresses, relay, tcp)| v1::Contact {
        addresses,
        relay,
        tcp,
    })
}

/// What is said of private talk to the server.
fn private() -> impl Strategy<Value = client_frame::Body> {
    use client_frame::Body;
    prop_oneof![
        any::<String>().prop_map(|user| Body::Invite(v1::Invite { user })),
        any::<String>().prop_map(|user| Body::MaySee(v1::MaySee { user })),
        (bytes(20), any::<bool>())
            .prop_map(|(invite, accept)| Body::AnswerInvite(v1::AnswerInvite { invite, accept })),
        bytes(20).prop_map(|invite| Body::CancelInvite(v1::CancelInvite { invite })),
        contact().prop_map(Body::Contact),
    ]
}

fn content() -> impl Strategy<Value = Option<v1::Content>> {
    let content = (bytes(40), any::<u64>()).prop_map(|(id, size)| v1::Content { id, size });
    proptest::option::of(content)
}

fn folder() -> impl Strategy<Value = Option<v1::Folder>> {
    proptest::option::of(any::<(u64, u32)>().prop_map(|(bytes, files)| v1::Folder { bytes, files }))
}

/// What is said of files to the server.
fn file() -> impl Strategy<Value = client_frame::Body> {
    use client_frame::Body;
    let hold = (content(), any::<String>(), any::<bool>(), bytes(20), folder(), any::<bool>());
    prop_oneof![
        hold.prop_map(|(content, name, complete, chunks, folder, inner)| Body::Hold(v1::Hold {
            content,
            name,
            complete,
            chunks,
            folder,
            inner
        })),
        (content(), bytes(20)).prop_map(|(content, chunks)| Body::HoldMore(v1::HoldMore { content, chunks })),
        content().prop_map(|content| Body::Release(v1::Release { content })),
        any::<String>().prop_map(|pattern| Body::ListFiles(v1::ListFiles { pattern })),
        any::<String>().prop_map(|meant| Body::FindFile(v1::FindFile { meant })),
        (any::<String>(), any::<Vec<u32>>())
            .prop_map(|(name, chunks)| Body::FindHolders(v1::FindHolders { name, chunks })),
        content().prop_map(|content| Body::FindSources(v1::FindSources { content })),
    ]
}

/// What the server answers to it.
fn about_files() -> impl Strategy<Value = reply::Body> {
    let entry = (content(), any::<String>(), any::<u32>(), folder())
        .prop_map(|(content, name, sources, folder)| v1::FileEntry { content, name, sources, folder });
    let files = (proptest::collection::vec(entry, 0..4), any::<bool>());
    let source = (any::<String>(), bytes(40), any::<bool>(), bytes(20), contact()).prop_map(
        |(user, key, complete, chunks, contact)| {
            let v1::Contact { addresses, relay, tcp } = contact;
            v1::Source { user, key, complete, chunks, addresses, relay, tcp }
        },
    );
    let sources = (proptest::collection::vec(source, 0..4), bytes(200), bytes(70));
    prop_oneof![
        files.prop_map(|(files, more)| reply::Body::Files(v1::Files { files, more })),
        sources.prop_map(|(sources, ticket, signature)| {
            reply::Body::Sources(v1::Sources { sources, ticket, signature })
        }),
    ]
}

/// What the server says of private talk.
fn peer_event() -> impl Strategy<Value = v1::PeerEvent> {
    use peer_event::Event;
    let contact = || proptest::option::of(contact());
    let numbers = any::<(bool, bool, u32)>();
    let introduced = (bytes(20), any::<String>(), bytes(40), contact(), numbers).prop_map(
        |(invite, user, key, contact, (dials, you_block, valid_ms))| {
            Event::Introduced(v1::Introduced { invite, user, key, contact, dials, you_block, valid_ms })
        },
    );
    let event = prop_oneof![
        (bytes(20), any::<String>()).prop_map(|(invite, user)| Event::Asked(v1::Asked { invite, user })),
        (bytes(20), any::<String>(), any::<i32>())
            .prop_map(|(invite, user, reason)| Event::Ended(v1::InviteEnded { invite, user, reason })),
        introduced,
        (bytes(20), contact())
            .prop_map(|(invite, contact)| Event::Contact(v1::PeerContact { invite, contact })),
    ];
    proptest::option::of(event).prop_map(|event| v1::PeerEvent { event })
}

fn client_frame() -> impl Strategy<Value = v1::ClientFrame> {
    use client_frame::Body;
    let body =
        prop_oneof![
            (any::<u32>(), words(), any::<String>())
                .prop_map(|(version, features, agent)| Body::Hello(v1::Hello { version, features, agent })),
            any::<(String, Vec<u8>)>()
                .prop_map(|(name, code)| { Body::Lookup(v1::Lookup { name, invitation: code.into() }) }),
            login().prop_map(Body::Login),
            (any::<String>(), bytes(40), device()).prop_map(|(name, token, device)| Body::Resume(
                v1::Resume { name, token, device: Some(device), position: None }
            )),
            submission().prop_map(Body::Submit),
            private(),
            file(),
            (any::<i32>(), any::<u64>()).prop_map(|(stream, after)| Body::Fetch(v1::Fetch { stream, after })),
            any::<u64>().prop_map(|seconds| Body::WhoElseSince(v1::WhoElseSince { seconds })),
            any::<[u64; 2]>()
                .prop_map(|[inbox, broadcast]| Body::Received(v1::Received { inbox, broadcast })),
            Just(Body::WhoElse(v1::WhoElse {})),
            Just(Body::Logout(v1::Logout {})),
        ];
    (any::<u64>(), proptest::option::of(body)).prop_map(|(id, body)| v1::ClientFrame { id, body })
}

fn server_frame() -> impl Strategy<Value = v1::ServerFrame> {
    use server_frame::Body;
    let answer = prop_oneof![
        words().prop_map(|names| reply::Body::Names(v1::Names { names })),
        (any::<i32>(), any::<String>(), any::<u64>(), any::<i32>()).prop_map(
            |(outcome, user, expected, trouble)| {
                reply::Body::Submitted(v1::Submitted { outcome, user, expected, trouble })
            }
        ),
        (any::<i32>(), any::<String>())
            .prop_map(|(reason, text)| reply::Body::Refused(v1::Refused { reason, text })),
        (any::<i32>(), any::<String>(), bytes(20)).prop_map(|(outcome, user, invite)| {
            reply::Body::Invited(v1::Invited { outcome, user, invite })
        }),
        any::<bool>().prop_map(|may| reply::Body::Sight(v1::Sight { may })),
        about_files(),
        (any::<String>(), bytes(40), any::<[u64; 4]>()).prop_map(|(name, token, numbers)| {
            let [inbox, broadcast, inbox_head, outbox_last] = numbers;
            let limits = Some(v1::Limits::default());
            let opened = v1::Opened {
                name,
                token,
                inbox,
                broadcast,
                inbox_head,
                outbox_last,
                limits,
                ..v1::Opened::default()
            };
            reply::Body::Opened(opened)
        }),
    ];
    let body =
        prop_oneof![
            (any::<u64>(), proptest::option::of(answer))
                .prop_map(|(id, body)| Body::Reply(v1::Reply { id, body })),
            (any::<(i32, u64, i64)>(), any::<[String; 2]>()).prop_map(
                |((stream, seq, sent_ms), [sender, text])| {
                    Body::Entry(v1::Entry { stream, seq, sender, text, sent_ms })
                }
            ),
            (any::<i32>(), any::<u64>()).prop_map(|(stream, upto)| Body::Skip(v1::Skip { stream, upto })),
            (any::<i32>(), any::<[u64; 2]>())
                .prop_map(|(stream, [from, to])| Body::Truncated(v1::Truncated { stream, from, to })),
            any::<(String, bool)>().prop_map(|(user, online)| Body::Presence(v1::Presence { user, online })),
            peer_event().prop_map(Body::Peer),
        ];
    proptest::option::of(body).prop_map(|body| v1::ServerFrame { body })
}

proptest! {
    #[test]
    fn client_frames_round_trip(frame in client_frame()) {
        prop_assert_eq!(decode_client(encode(&frame), FRAME_BYTES_MAX), Ok(frame));
    }

    #[test]
    fn server_frames_round_trip(frame in server_frame()) {
        prop_assert_eq!(decode_server(encode(&frame), FRAME_BYTES_MAX), Ok(frame));
    }

    #[test]
    fn random_bytes_do_no_harm(data in bytes(300)) {
        let _ = decode_client(data.clone(), FRAME_BYTES_MAX);
        let _ = decode_server(data, FRAME_BYTES_MAX);
    }

    #[test]
    fn a_damaged_frame_does_no_harm(frame in client_frame(), at in any::<usize>(), bit in 0..8) {
        let mut data = encode(&frame).to_vec();
        if !data.is_empty() {
            let at = at % data.len();
            data[at] ^= 1u8 << bit;
        }
        let _ = decode_client(data.into(), FRAME_BYTES_MAX);
    }
}

fn message(text: String) -> v1::ClientFrame {
    let op = submit::Op::Message(v1::DirectMessage { to: "yoda".into(), text });
    v1::ClientFrame { id: 3, body: Some(client_frame::Body::Submit(v1::Submit { number: 1, op: Some(op) })) }
}

#[test]
fn a_truncated_frame_is_malformed_or_less() {
    let whole = encode(&message("hello".into()));
    for length in 0..whole.len() {
        match decode_client(whole.slice(..length), FRAME_BYTES_MAX) {
            // It ends where a field ends: the id is there, the body is not.
            Ok(frame) => assert_eq!((length <= 2, frame.body), (true, None), "{length}"),
            Err(error) => assert!(matches!(error, DecodeError::Malformed(_)), "{length}: {error}"),
        }
    }
}

#[test]
fn malformed_frames_are_refused() {
    let deep: Vec<u8> = std::iter::repeat_n(0xa3, 60_000).flat_map(|group| [group, 0x06]).collect();
    for (what, data) in [
        ("field number 0", &b"\x00\x01"[..]),
        ("a length without end", b"\x32\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("a length beyond the end", b"\x32\x7f\x08"),
        ("a number without end", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("a string where a number belongs", b"\x0a\x01x"),
        ("a number where a body belongs", b"\x30\x01"),
        ("a wire type that is none", b"\x37"),
        ("an end without a beginning", b"\x34"),
        ("a name that is not UTF-8", b"\x1a\x03\x0a\x01\xff"),
        ("a surrogate in UTF-8", b"\x1a\x05\x0a\x03\xed\xa0\x80"),
        ("groups within groups", &deep),
    ] {
        let result = decode_client(Bytes::copy_from_slice(data), FRAME_BYTES_MAX);
        assert!(matches!(result, Err(DecodeError::Malformed(_))), "{what}: {result:?}");
    }
}

#[test]
fn size_is_judged_before_anything_else() {
    let largest = message("x".repeat(TEXT_BYTES_MAX));
    assert_eq!(decode_client(encode(&largest), FRAME_BYTES_MAX), Ok(largest));
    let junk = Bytes::from(vec![0xff; FRAME_BYTES_MAX + 1]);
    assert_eq!(decode_client(junk.clone(), FRAME_BYTES_MAX), Err(DecodeError::TooLarge(junk.len())));
    assert_eq!(decode_server(junk.clone(), FRAME_BYTES_MAX), Err(DecodeError::TooLarge(junk.len())));
}

#[test]
fn what_a_newer_version_says_is_passed_over() {
    // An unknown field beside a known one.
    let known = v1::ClientFrame { id: 3, body: Some(client_frame::Body::Logout(v1::Logout {})) };
    let mut data = encode(&known).to_vec();
    data.extend_from_slice(b"\xa2\x06\x03new");
    assert_eq!(decode_client(data.into(), FRAME_BYTES_MAX), Ok(known));
    // An unknown body: the id is there, so that it can be answered.
    let unknown = decode_client(Bytes::from_static(b"\x08\x03\xa2\x06\x00"), FRAME_BYTES_MAX);
    assert_eq!(unknown, Ok(v1::ClientFrame { id: 3, body: None }));
    // An unknown value of an enum.
    let entry = v1::Entry { stream: 99, ..v1::Entry::default() };
    let known = v1::ServerFrame { body: Some(server_frame::Body::Entry(entry)) };
    assert_eq!(decode_server(Bytes::from_static(b"\x12\x02\x08\x63"), FRAME_BYTES_MAX), Ok(known));
    assert!(v1::Stream::try_from(99).is_err());
}
