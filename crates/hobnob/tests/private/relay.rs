//! Private talk over the server's relay.

use crate::{both_hear_each_other, connect, support::World};

#[test]
fn one_who_shows_no_address_is_reached_over_the_relay() {
    let world = World::new();
    let (hans, bob) = (world.user_with("hans", &["--relay-only"]), world.user("bob"));
    hans.sees("bob logged in");
    connect(("hans", &hans), ("bob", &bob));
    both_hear_each_other(("hans", &hans), ("bob", &bob), "hello");
    for (chat, other) in [(&hans, "bob"), (&bob, "hans")] {
        chat.types(&format!("path {other}"));
        chat.finds("relayed via 127.0.0.1, ");
    }
}

#[test]
fn a_relayed_talk_pauses_with_the_server_and_goes_on() {
    let mut world = World::new();
    let (hans, bob) = (world.user_with("hans", &["--relay-only"]), world.user("bob"));
    hans.sees("bob logged in");
    connect(("bob", &bob), ("hans", &hans));
    world.crash();
    hans.types("private bob on its way");
    for (chat, other) in [(&hans, "bob"), (&bob, "hans")] {
        chat.sees(&format!("Private messaging with {other} is interrupted, trying again"));
    }
    hans.asks("path bob", &["interrupted, trying again"]);
    world.start();
    hans.sees("Private messaging with bob goes on");
    bob.sees("hans(private): on its way");
    both_hear_each_other(("hans", &hans), ("bob", &bob), "again");
}

#[test]
fn without_a_relay_nobody_is_reached_over_it() {
    let world = World::with(&["--relay", "off"]);
    let (hans, bob) = (world.user_with("hans", &["--relay-only"]), world.user("bob"));
    hans.sees("bob logged in");
    hans.types("startprivate bob");
    hans.sees(
        "Error. Private messaging is not possible here: the server has no relay, and no address may be shown",
    );
    hans.sees("Start private messaging with bob");
    bob.is_asked(&crate::question("hans"));
    bob.types("n");
    hans.sees("bob declines private messaging");
}
