//! What is said in private, and what is said about the talk.

use crate::{both_hear_each_other, connect, pair, support::World};

#[test]
fn names_are_shown_as_registered_and_typed_as_one_likes() {
    let world = World::new();
    let (hans, bob) = (world.user("Hans"), world.user("bob"));
    hans.sees("bob logged in");
    connect(("Hans", &hans), ("bob", &bob));
    hans.types("/private BOB  two  spaces\tand a tab  ");
    bob.sees("Hans(private): two  spaces\tand a tab");
    bob.types("private hans /logout");
    hans.sees("bob(private): /logout");
    bob.asks("stopprivate HANS", &["Stop private messaging with Hans"]);
    hans.sees("bob stopped private messaging");
}

#[test]
fn no_text_can_pass_for_another_or_move_the_cursor() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    hans.types("private bob a\u{202e}b\u{2066}c\u{e0041}d");
    let shown = bob.finds("hans(private): a");
    assert!(!shown.contains(['\u{202e}', '\u{2066}', '\u{e0041}']), "{shown:?}");
    let long = "x".repeat(64 * 1024);
    hans.types(&format!("private bob {long}"));
    bob.sees(&format!("hans(private): {long}"));
    hans.asks(&format!("private bob {long}x"), &["Error. The message is too long, 64 KiB at most"]);
    // Broken UTF-8 and carriage returns within a line.
    hans.asks("private bob a\rb", &["Error. The message contains control characters"]);
    both_hear_each_other(("hans", &hans), ("bob", &bob), "still there");
}

#[test]
fn a_thousand_each_way_at_once_arrive_once_and_in_order() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    let typed = |to: &str| (1..=1000).map(|n| format!("private {to} {n}\n")).collect::<String>();
    let (to_bob, to_hans) = (typed("bob"), typed("hans"));
    std::thread::scope(|scope| {
        scope.spawn(|| hans.types(to_bob.trim_end()));
        scope.spawn(|| bob.types(to_hans.trim_end()));
    });
    for (chat, other) in [(&hans, "bob"), (&bob, "hans")] {
        chat.sees(&format!("{other}(private): 1000"));
        let everything = chat.everything();
        let heard: Vec<_> = everything.lines().filter_map(|line| line.split_once("(private): ")).collect();
        assert!(heard.iter().all(|(from, _)| *from == other));
        let numbers: Vec<usize> = heard.iter().map(|(_, text)| text.parse().expect("a number")).collect();
        assert!(numbers.iter().copied().eq(1..=1000), "{numbers:?}");
    }
    assert_eq!(hans.catches_up(), Vec::<String>::new());
}

#[test]
fn either_side_can_stop_and_begin_again() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    for round in 0..3 {
        let ((stopping, stopped), (by, of)) =
            if round % 2 == 0 { ((&bob, &hans), ("bob", "hans")) } else { ((&hans, &bob), ("hans", "bob")) };
        stopping.types(&format!("private {of} last words"));
        stopping.asks(&format!("stopprivate {of}"), &[&format!("Stop private messaging with {of}")]);
        stopped.sees(&format!("{by}(private): last words"));
        stopped.sees(&format!("{by} stopped private messaging"));
        let not_enabled = |user: &str| format!("Error. Private messaging to {user} not enabled");
        stopping.asks(&format!("private {of} hi"), &[&not_enabled(of)]);
        stopped.asks(&format!("private {by} hi"), &[&not_enabled(by)]);
        connect((by, stopping), (of, stopped));
        both_hear_each_other((of, stopped), (by, stopping), "again");
    }
}

#[test]
fn a_talk_on_one_machine_runs_directly() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    both_hear_each_other(("hans", &hans), ("bob", &bob), "hello");
    for (chat, other) in [(&hans, "bob"), (&bob, "hans")] {
        chat.types(&format!("path {other}"));
        let path = chat.finds("direct ");
        let parts: Vec<_> = path.trim_end().split(", ").collect();
        let [way, round_trip, sent, received] = parts[..] else { panic!("{path}") };
        let address = way.strip_prefix("direct ").and_then(|address| address.parse().ok());
        let address: std::net::SocketAddr = address.unwrap_or_else(|| panic!("{path}"));
        assert!(address.port() > 0 && round_trip.ends_with(" ms"), "{path}");
        assert!(sent.ends_with("B sent") && received.ends_with("B received"), "{path}");
    }
}

#[test]
fn both_see_the_same_safety_number_and_remember_it() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    let number = |chat: &crate::Chat, other: &str| {
        chat.types(&format!("verify {other}"));
        let line = chat.finds(&format!("Safety number with {other}: "));
        line.trim_end().rsplit_once(": ").expect("a number").1.to_owned()
    };
    let seen = number(&hans, "bob");
    assert_eq!(seen, number(&bob, "hans"));
    let groups: Vec<_> = seen.split(' ').collect();
    assert!(groups.len() == 12 && groups.iter().all(|group| group.len() == 5), "{seen}");
    hans.sees("  Compare it by voice. If bob sees the same, enter: verify bob ok");
    hans.asks("verify bob ok", &["The key of bob is verified"]);
    hans.types("verify bob");
    hans.sees("  It was verified before");
    let peers = std::fs::read_to_string(find_peers(&world.path("hans"))).expect("the file of keys");
    assert!(peers.starts_with("bob ") && peers.trim_end().ends_with(" verified"), "{peers}");

    // It is remembered, and another device of Bob's is not believed until it is verified as well.
    bob.leaves();
    hans.leaves();
    let hans = world.user("hans");
    let bob = world.chat("elsewhere");
    bob.logs_in("bob", "bob-secret");
    hans.sees("bob logged in");
    hans.types("startprivate bob");
    bob.is_asked(&crate::question("hans"));
    bob.types("y");
    hans.sees("WARNING. The key of bob is not the one that you verified. Private messaging is refused");
    hans.sees("  Compare the number of verify bob by voice. If it is right, enter: verify bob ok");
    hans.asks("private bob hi", &["Error. Private messaging to bob not enabled"]);
    bob.sees("hans stopped private messaging");
    hans.asks("verify bob ok", &["The key of bob is verified"]);
    connect(("hans", &hans), ("bob", &bob));
    both_hear_each_other(("hans", &hans), ("bob", &bob), "believed");
}

/// The file of keys in the only device's folder below `data`.
fn find_peers(data: &std::path::Path) -> std::path::PathBuf {
    let mut todo = vec![data.to_owned()];
    while let Some(path) = todo.pop() {
        if path.file_name().is_some_and(|name| name == "peers") {
            return path;
        }
        let below = std::fs::read_dir(&path).into_iter().flatten();
        todo.extend(below.map(|entry| entry.expect("an entry").path()));
    }
    panic!("no file of keys below {}", data.display());
}

#[test]
fn a_changed_key_is_told_loudly_and_the_talk_begins() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    bob.leaves();
    hans.sees("bob logged out");
    let bob = world.chat("elsewhere");
    bob.logs_in("bob", "bob-secret");
    hans.sees("bob logged in");
    hans.types("startprivate bob");
    bob.is_asked(&crate::question("hans"));
    bob.types("y");
    hans.sees("WARNING. The key of bob has changed");
    hans.sees("bob accepts private messaging");
    bob.sees("Start private messaging with hans");
    both_hear_each_other(("hans", &hans), ("bob", &bob), "hello");
}
