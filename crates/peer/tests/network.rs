//! Links between networks on one machine, without a server.

mod network_common;

use std::time::Duration;

use hobnob_peer::network::{LinkEvent, Network, Setup, Tuning};
use hobnob_peer::talk::Effect;
use hobnob_protocol::v1::{self, talk_bye::Reason, talk_frame::Body};
use network_common::{Node, SOON, brisk, invite, linked, pair, text, until};
use tokio::time::{Instant, timeout};

fn bye() -> Body {
    Body::Bye(v1::TalkBye { reason: Reason::Stopped.into() })
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_go_both_ways() {
    let (mut a, at_a, mut b, at_b) = linked(1).await;
    a.send(at_a, text(1));
    b.send(at_b, text(2));
    assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: text(1) });
    assert_eq!(a.next_but_path().await, LinkEvent::Frame { link: at_a, frame: text(2) });
    let path = a.network.path(at_a).unwrap();
    assert!(path.direct.is_some() && path.relay.is_none(), "{path:?}");
    assert!(path.bytes.0 > 0 && path.bytes.1 > 0, "{path:?}");
    a.network.close().await;
    b.network.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_frames_arrive_each_way_in_order() {
    let (mut a, at_a, mut b, at_b) = linked(1).await;
    for number in 1..=1000 {
        a.send(at_a, text(number));
        b.send(at_b, text(number));
    }
    for number in 1..=1000 {
        assert_eq!(a.next_but_path().await, LinkEvent::Frame { link: at_a, frame: text(number) });
        assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: text(number) });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_arrives_before_a_link_is_closed() {
    let (a, at_a, mut b, at_b) = linked(1).await;
    for number in 1..=200 {
        a.send(at_a, text(number));
    }
    a.send(at_a, bye());
    a.network.carry_out(Effect::Forget(invite(1)));
    a.close_link(at_a);
    assert!(a.network.path(at_a).is_none());
    for number in 1..=200 {
        assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: text(number) });
    }
    assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: bye() });
    assert_eq!(b.next_but_path().await, LinkEvent::Down { link: at_b });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_arrives_before_a_network_is_closed() {
    let (a, at_a, mut b, at_b) = linked(1).await;
    for number in 1..=50 {
        a.send(at_a, text(number));
    }
    let begin = Instant::now();
    a.network.close().await;
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    for number in 1..=50 {
        assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: text(number) });
    }
    assert_eq!(b.next_but_path().await, LinkEvent::Down { link: at_b });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_close_at_once_do_not_wait_for_each_other() {
    let (a, at_a, b, at_b) = linked(1).await;
    a.send(at_a, bye());
    b.send(at_b, bye());
    let begin = Instant::now();
    tokio::join!(a.network.close(), b.network.close());
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_closed_tells_nothing_more() {
    let (mut a, at_a, mut b, at_b) = linked(1).await;
    a.close_link(at_a);
    assert_eq!(b.next_but_path().await, LinkEvent::Down { link: at_b });
    b.send(at_b, text(1));
    a.silent(Duration::from_millis(300)).await;
    assert_eq!(b.network.path(at_b), None);
}

/// A process that is killed says nothing: its runtime is gone from one moment to the next.
#[test]
fn a_peer_that_falls_silent_is_lost_after_the_silence() {
    let silent = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (a, mut b, at_b) = runtime.block_on(async {
        let mut b = Node::open(2).await;
        b.settle().await;
        let mut a = silent.spawn(async { Node::open(1).await }).await.unwrap();
        a.settle().await;
        b.expect(1, &a);
        let (a, b_seen) = {
            let contact = b.contact.clone();
            let key = b.key;
            silent
                .spawn(async move {
                    a.network.carry_out(Effect::Dial { invite: invite(1), key, contact });
                    let link = a.up(1).await;
                    (a, link)
                })
                .await
                .unwrap()
        };
        let at_b = b.up(1).await;
        a.send(b_seen, text(1));
        assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: text(1) });
        (a, b, at_b)
    });
    silent.shutdown_background();
    runtime.block_on(async {
        let begin = Instant::now();
        assert_eq!(b.next_but_path().await, LinkEvent::Down { link: at_b });
        let took = begin.elapsed();
        // The last sign of life was at most one keep-alive before the end.
        assert!(took > Duration::from_millis(1400) && took < Duration::from_secs(4), "{took:?}");
    });
    std::mem::forget(a);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_without_a_word_to_say_stays() {
    let (mut a, at_a, mut b, at_b) = linked(1).await;
    tokio::join!(a.silent_but_path(Duration::from_secs(3)), b.silent_but_path(Duration::from_secs(3)));
    a.send(at_a, text(1));
    assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: text(1) });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_link_of_a_talk_takes_the_place_of_the_earlier() {
    let (mut a, first_a, mut b, first_b) = linked(1).await;
    a.dial(1, &b);
    let second_a = a.up(1).await;
    let second_b = b.up(1).await;
    assert!(second_a != first_a && second_b != first_b);
    assert!(a.network.path(first_a).is_none() && b.network.path(first_b).is_none());
    a.send(second_a, text(1));
    assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: second_b, frame: text(1) });
    b.send(second_b, text(2));
    assert_eq!(a.next_but_path().await, LinkEvent::Frame { link: second_a, frame: text(2) });
    a.silent_but_path(Duration::from_millis(300)).await;
    b.silent_but_path(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_talks_with_the_same_key_are_two_links() {
    let (mut a, mut b) = pair().await;
    for name in [1, 2] {
        b.expect(name, &a);
        a.dial(name, &b);
        let (at_a, at_b) = (a.up(name).await, b.up(name).await);
        a.send(at_a, text(name.into()));
        assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: text(name.into()) });
    }
    a.forget(1);
    assert!(matches!(b.next_but_path().await, LinkEvent::Down { .. }));
    a.silent_but_path(Duration::from_millis(300)).await;
    b.silent_but_path(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_talk_that_is_forgotten_while_it_is_dialled_tells_nothing() {
    let (mut a, b) = pair().await;
    let contact = v1::Contact { addresses: vec!["192.0.2.7:9".to_owned()], relay: false, tcp: Vec::new() };
    a.network.carry_out(Effect::Dial { invite: invite(1), key: b.key, contact });
    a.forget(1);
    a.silent(Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_is_repeated_tells_of_the_last_only() {
    let (mut a, mut b) = pair().await;
    b.expect(1, &a);
    for _ in 0..5 {
        a.dial(1, &b);
    }
    let at_a = a.up(1).await;
    a.send(at_a, text(1));
    loop {
        match b.next_but_path().await {
            LinkEvent::Frame { frame, .. } => break assert_eq!(frame, text(1)),
            LinkEvent::Up { .. } | LinkEvent::Down { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    a.silent_but_path(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_to_nobody_fails_in_bounded_time() {
    let mut a = Node::open_with(1, None, false, Tuning { dial: Duration::from_secs(2), ..brisk() }).await;
    let b = Node::open(2).await;
    for contact in [
        v1::Contact::default(),
        v1::Contact { addresses: vec!["127.0.0.1:9".to_owned()], relay: true, tcp: Vec::new() },
    ] {
        a.network.carry_out(Effect::Dial { invite: invite(1), key: b.key, contact });
        assert_eq!(a.next().await, LinkEvent::Failed { invite: invite(1) });
    }
    // Neither is a key that is none, nor one's own.
    for key in [[0xff; 32], a.key] {
        let contact =
            v1::Contact { addresses: vec!["127.0.0.1:9".to_owned()], relay: false, tcp: Vec::new() };
        a.network.carry_out(Effect::Dial { invite: invite(2), key, contact });
        assert_eq!(a.next().await, LinkEvent::Failed { invite: invite(2) });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_does_not_expect_the_dialer_yet_can_be_dialled_again() {
    let (mut a, mut b) = pair().await;
    a.dial(1, &b);
    assert_eq!(a.next().await, LinkEvent::Failed { invite: invite(1) });
    b.expect(1, &a);
    a.dial(1, &b);
    a.up(1).await;
    b.up(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_read_is_held_back_and_loses_nothing() {
    let (a, at_a, mut b, at_b) = linked(1).await;
    let long = |number| Body::Text(v1::TalkText { number, text: "x".repeat(60_000) });
    for number in 1..=256 {
        a.send(at_a, long(number));
    }
    // Meanwhile, nobody reads at the other side; 15 MB are more than what all windows and queues hold.
    until(|| a.network.path(at_a).unwrap().bytes.0 > 4_000_000).await;
    for number in 1..=256 {
        assert_eq!(b.next_but_path().await, LinkEvent::Frame { link: at_b, frame: long(number) });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_whose_queue_is_full_is_given_up() {
    let (mut a, at_a, _b, _) = linked(1).await;
    let long = |number| Body::Text(v1::TalkText { number, text: "x".repeat(60_000) });
    for number in 1..=2000 {
        a.send(at_a, long(number));
    }
    assert_eq!(a.next_but_path().await, LinkEvent::Down { link: at_a });
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_no_address_can_be_kept_back() {
    let opened = Network::open(Setup { seed: [1; 32], relay: None, relay_only: true }).await;
    assert!(opened.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_dropped_is_gone_for_the_other() {
    let (a, _, mut b, at_b) = linked(1).await;
    drop(a);
    let down = timeout(SOON, b.next_but_path()).await.unwrap();
    assert_eq!(down, LinkEvent::Down { link: at_b });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_is_repeated_at_any_moment_ends_in_a_link_that_holds() {
    let (mut a, mut b) = pair().await;
    for step in 0..60 {
        let name = step + 1;
        b.expect(name, &a);
        a.dial(name, &b);
        let mut links = [None, None];
        // A little later each time, so that each stage of the first attempt is met once.
        match timeout(Duration::from_micros(150 * u64::from(step)), a.up(name)).await {
            Err(_) => a.dial(name, &b),
            Ok(link) => {
                links[1] = Some(link);
                a.send(link, text(1));
            }
        }
        loop {
            let (at_a, event) = tokio::select! {
                event = a.next_but_path() => (true, event),
                event = b.next_but_path() => (false, event),
            };
            match event {
                LinkEvent::Up { invite: of, link, .. } if of == invite(name) => {
                    links[usize::from(at_a)] = Some(link);
                    if at_a {
                        a.send(link, text(1));
                    }
                }
                LinkEvent::Frame { .. } => break,
                // Of the talk before.
                LinkEvent::Up { .. } => {}
                LinkEvent::Down { link } if links[usize::from(at_a)] != Some(link) => {}
                other => panic!("repeated after {step} steps, at the dialer: {at_a}: {other:?}"),
            }
        }
        a.forget(name);
        b.forget(name);
    }
}
