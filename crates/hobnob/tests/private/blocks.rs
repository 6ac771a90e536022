//! Blocks and private talk.

use crate::{both_hear_each_other, connect, pair, support::World};

#[test]
fn a_blocker_says_the_same_online_and_offline() {
    let world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    bob.asks("block hans", &["hans is blocked"]);
    let refused = ["Error. Cannot start private messaging. bob has blocked you"];
    hans.asks("startprivate bob", &refused);
    assert_eq!(bob.catches_up(), Vec::<String>::new());
    bob.leaves();
    hans.asks("startprivate bob", &refused);
    let bob = world.user("bob");
    hans.asks("startprivate BOB", &refused);
    bob.asks("unblock hans", &["hans is unblocked"]);
    connect(("hans", &hans), ("bob", &bob));
}

#[test]
fn a_blocker_can_still_ask() {
    let world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    bob.asks("block hans", &["hans is blocked"]);
    connect(("bob", &bob), ("hans", &hans));
    both_hear_each_other(("hans", &hans), ("bob", &bob), "hello");
}

#[test]
fn a_block_does_not_end_a_talk_but_refuses_the_next() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    bob.asks("block hans", &["hans is blocked"]);
    both_hear_each_other(("hans", &hans), ("bob", &bob), "in spite of it");
    hans.asks("stopprivate bob", &["Stop private messaging with bob"]);
    bob.sees("hans stopped private messaging");
    hans.asks("startprivate bob", &["Error. Cannot start private messaging. bob has blocked you"]);
}
