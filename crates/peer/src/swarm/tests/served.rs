//! Those who ask this device.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn request(uploads: &mut Uploads, peer: u64, chunk: u32, now: u64) -> Vec<UploadEffect> {
    uploads.handle(UploadEvent::Request { peer: Peer(peer), chunk }, ms(now))
}

fn sent(uploads: &mut Uploads, peer: u64, chunk: u32, now: u64) -> Vec<UploadEffect> {
    uploads.handle(UploadEvent::Sent { peer: Peer(peer), chunk }, ms(now))
}

fn serve(peer: u64, chunk: u32) -> UploadEffect {
    UploadEffect::Serve { peer: Peer(peer), chunk }
}

#[test]
fn what_nobody_else_has_leaves_first() {
    let mut uploads = Uploads::new(10, 1);
    assert_eq!(request(&mut uploads, 1, 0, 0), [serve(1, 0)]);
    // Chunk 0 is on its way to the first, so the others wait for it until all else has left.
    for peer in [2, 3] {
        assert_eq!(request(&mut uploads, peer, 0, 0), []);
    }
    uploads.handle(UploadEvent::Has { peer: Peer(4), chunks: vec![7] }, ms(0));
    for (peer, chunk) in [(2, 7), (3, 5), (1, 6)] {
        assert_eq!(request(&mut uploads, peer, chunk, 0), []);
    }
    assert_eq!(sent(&mut uploads, 1, 0, 10), [serve(3, 5)]);
    assert_eq!(sent(&mut uploads, 3, 5, 20), [serve(1, 6)]);
    assert_eq!(sent(&mut uploads, 1, 6, 30), [serve(2, 0)]);
    // Its only holder is gone: it has not left.
    uploads.handle(UploadEvent::Gone { peer: Peer(4) }, ms(40));
    assert_eq!(sent(&mut uploads, 2, 0, 50), [serve(2, 7)]);
    assert_eq!(sent(&mut uploads, 2, 7, 60), [serve(3, 0)]);
}

#[test]
fn who_has_least_is_next() {
    let mut uploads = Uploads::new(100, 1);
    // Everything has left already.
    uploads.handle(UploadEvent::Has { peer: Peer(9), chunks: (0..100).collect() }, ms(0));
    uploads.handle(UploadEvent::Has { peer: Peer(1), chunks: (90..94).collect() }, ms(0));
    uploads.handle(UploadEvent::Has { peer: Peer(2), chunks: vec![95] }, ms(0));
    for chunk in 0..4 {
        request(&mut uploads, 1, chunk, 0);
    }
    for (peer, chunk) in [(2, 50), (2, 51), (3, 60), (3, 61)] {
        request(&mut uploads, peer, chunk, 1);
    }
    let mut order = vec![1];
    let mut last = (1, 0);
    while let [UploadEffect::Serve { peer: Peer(peer), chunk }] = sent(&mut uploads, last.0, last.1, 2)[..] {
        order.push(peer);
        last = (peer, chunk);
    }
    assert_eq!(order, [1, 3, 2, 3, 2, 1, 1, 1]);
}

#[test]
fn too_much_and_too_old_is_refused() {
    let mut uploads = Uploads::new(100, 1);
    for chunk in 0..17 {
        request(&mut uploads, 1, chunk, 0);
    }
    let refused = |chunk| UploadEffect::Refuse { peer: Peer(1), chunk };
    assert_eq!(request(&mut uploads, 1, 17, 1), [refused(17)]);
    assert_eq!(request(&mut uploads, 1, 100, 1), [refused(100)]);
    assert_eq!(uploads.deadline(), Some(ms(2000)));
    uploads.handle(UploadEvent::Sent { peer: Peer(1), chunk: 0 }, ms(1999));
    let old = uploads.handle(UploadEvent::Tick, ms(5000));
    assert_eq!(old.len(), 15);
    assert_eq!(uploads.load(), (0, 1));
    assert_eq!(uploads.deadline(), None);
}

#[test]
fn a_slow_receiver_does_not_keep_others_waiting() {
    let mut uploads = Uploads::new(100, 2);
    assert_eq!(request(&mut uploads, 1, 0, 0), [serve(1, 0)]);
    assert_eq!(request(&mut uploads, 1, 1, 0), [serve(1, 1)]);
    assert_eq!(request(&mut uploads, 2, 2, 100), []);
    let deadline = uploads.deadline().unwrap();
    assert_eq!(deadline, ms(2000));
    assert_eq!(uploads.handle(UploadEvent::Tick, deadline), [serve(2, 2)]);
}

/// Nobody takes what is sent, until not even slow receivers have a place: coming back at each deadline is a few steps.
#[test]
fn deadlines_lie_ahead_while_every_place_is_taken() {
    let mut uploads = Uploads::new(100, 2);
    let (mut now, mut steps, mut refused) = (Duration::ZERO, 0, 0);
    for peer in 0..60 {
        request(&mut uploads, peer, peer as u32, 0);
    }
    while let Some(deadline) = uploads.deadline() {
        assert!(deadline > now, "{deadline:?} at {now:?} with {:?}", uploads.load());
        now = deadline;
        let effects = uploads.handle(UploadEvent::Tick, now);
        refused += effects.iter().filter(|effect| matches!(effect, UploadEffect::Refuse { .. })).count();
        steps += 1;
        // New ones come all the time.
        if steps == 2 {
            (100..140).for_each(|peer| {
                drop(
                    uploads.handle(UploadEvent::Request { peer: Peer(peer), chunk: (peer - 60) as u32 }, now),
                )
            });
        }
    }
    assert_eq!(uploads.load().0, 0);
    assert!(uploads.load().1 <= 16 && refused > 80 && steps < 12, "{:?} {refused} {steps}", uploads.load());
}

#[derive(Clone, Debug)]
enum Op {
    Has(u64, Vec<u32>),
    Request(u64, u32),
    Cancel(u64, u32),
    Sent(usize),
    Gone(u64),
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let (peer, chunk) = (0..6_u64, 0..45_u32);
    prop_oneof![
        2 => (peer.clone(), vec(0..45_u32, 0..10)).prop_map(|(peer, chunks)| Op::Has(peer, chunks)),
        10 => (peer.clone(), chunk.clone()).prop_map(|(peer, chunk)| Op::Request(peer, chunk)),
        2 => (peer.clone(), chunk).prop_map(|(peer, chunk)| Op::Cancel(peer, chunk)),
        6 => any::<usize>().prop_map(Op::Sent),
        1 => peer.prop_map(Op::Gone),
        2 => (0..4000_u64).prop_map(Op::Pass),
    ]
}

proptest! {
    #[test]
    fn each_request_has_one_answer(ops in vec(op(), 0..300)) {
        let mut uploads = Uploads::new(40, 3);
        let (mut waiting, mut serving) = (BTreeSet::new(), BTreeSet::new());
        let mut now = Duration::ZERO;
        for op in ops {
            let event = match op {
                Op::Has(peer, chunks) => UploadEvent::Has { peer: Peer(peer), chunks },
                Op::Request(peer, chunk) => {
                    if !serving.contains(&(peer, chunk)) {
                        waiting.insert((peer, chunk));
                    }
                    UploadEvent::Request { peer: Peer(peer), chunk }
                }
                Op::Cancel(peer, chunk) => {
                    waiting.remove(&(peer, chunk));
                    serving.remove(&(peer, chunk));
                    UploadEvent::Cancel { peer: Peer(peer), chunk }
                }
                Op::Sent(at) => {
                    let Some((peer, chunk)) = serving.iter().nth(at % serving.len().max(1)).copied() else { continue };
                    serving.remove(&(peer, chunk));
                    UploadEvent::Sent { peer: Peer(peer), chunk }
                }
                Op::Gone(peer) => {
                    waiting.retain(|(of, _)| *of != peer);
                    serving.retain(|(of, _)| *of != peer);
                    UploadEvent::Gone { peer: Peer(peer) }
                }
                Op::Pass(ms) => {
                    now += Duration::from_millis(ms);
                    UploadEvent::Tick
                }
            };
            for effect in uploads.handle(event, now) {
                match effect {
                    UploadEffect::Serve { peer: Peer(peer), chunk } => {
                        prop_assert!(waiting.remove(&(peer, chunk)) && serving.insert((peer, chunk)));
                    }
                    UploadEffect::Refuse { peer: Peer(peer), chunk } => {
                        prop_assert!(waiting.remove(&(peer, chunk)));
                    }
                }
            }
            prop_assert_eq!(uploads.load(), (waiting.len(), serving.len()));
            prop_assert!(serving.len() <= 24);
            prop_assert!((0..6).all(|peer| waiting.iter().filter(|(of, _)| *of == peer).count() <= 16));
            prop_assert!(uploads.deadline().is_none_or(|deadline| deadline > now));
            prop_assert!(waiting.is_empty() || !serving.is_empty(), "somebody is always served");
        }
    }
}
