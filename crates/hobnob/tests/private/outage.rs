//! Private talk while the server, or the other, is gone.

use crate::{both_hear_each_other, connect, pair, support::World};

const LOST: &str = "Lost the connection to the server, trying again";

#[test]
fn a_direct_talk_does_not_need_the_server() {
    let mut world = World::new();
    let (hans, bob) = pair(&world);
    world.crash();
    for chat in [&hans, &bob] {
        chat.sees(LOST);
    }
    both_hear_each_other(("hans", &hans), ("bob", &bob), "without a server");
    hans.types("message bob waits for the server");
    hans.types("startprivate eva");
    hans.sees("Error. The server could not be asked. Please try again later");
    hans.types("path bob");
    hans.finds("direct ");
    world.start();
    for chat in [&hans, &bob] {
        chat.sees("Connected again");
    }
    bob.sees("hans: waits for the server");
    both_hear_each_other(("bob", &bob), ("hans", &hans), "with a server");
    let eva = world.user("eva");
    hans.sees("eva logged in");
    connect(("hans", &hans), ("eva", &eva));
}

#[test]
fn leaving_without_a_server_says_good_bye_to_peers() {
    let mut world = World::new();
    let (hans, bob) = pair(&world);
    world.crash();
    for chat in [&hans, &bob] {
        chat.sees(LOST);
    }
    hans.types("private bob bye");
    hans.leaves();
    bob.sees("hans(private): bye");
    bob.sees("Private messaging with hans ended: hans logged out");
}

#[test]
fn a_peer_that_is_killed_is_missed_and_so_is_what_was_said_to_it() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    let eva = world.user("eva");
    hans.sees("eva logged in");
    connect(("hans", &hans), ("eva", &eva));
    eva.asks("block hans", &["hans is blocked"]);
    bob.crash();
    eva.crash();
    hans.types("private bob one\nprivate bob two\nprivate eva three");
    hans.sees_all(&["Private messaging with bob ended", "Private messaging with eva ended"]);
    let everything = hans.everything();
    let told = |line: &str| everything.lines().filter(|seen| *seen == line).count();
    assert_eq!(told("Error. bob is no longer online"), 2);
    assert_eq!(told("Error. Not delivered to eva"), 1);
    assert!(!everything.contains("Error. eva"), "nothing is said of who has blocked the user");
    hans.asks("private bob four", &["Error. Private messaging to bob not enabled"]);
}

#[test]
fn who_comes_back_after_a_crash_can_be_talked_to_at_once() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    bob.crash();
    let bob = world.user("bob");
    bob.types("startprivate hans");
    bob.sees("Start private messaging with hans");
    hans.is_asked(&crate::question("bob"));
    hans.types("y");
    bob.sees("hans accepts private messaging");
    hans.sees("Start private messaging with bob");
    both_hear_each_other(("hans", &hans), ("bob", &bob), "welcome back");
}
