//! Whom a user blocks sees nothing of the user's files.

use crate::{content, fetch, freeze, has_begun, person, share, support::World, thaw, wait_for};

#[test]
fn files_of_a_blocker_are_not_there() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    let id = share(&world, "hans", &hans, "a", b"secret");
    hans.asks("block bob", &["bob is blocked"]);
    bob.asks("files", &["No files are shared now."]);
    bob.asks("searchFile a", &["Not available"]);
    bob.asks("searchChunk a 0", &["Not available"]);
    bob.asks("download a", &["Error. No one shares a"]);
    bob.asks(&format!("download {id}"), &[&format!("Error. No one shares {id}")]);
    // The blocker can still do all that.
    share(&world, "bob", &bob, "b", b"open");
    hans.asks("searchFile b", &["Available", "bob"]);
    fetch(&world, "hans", &hans, "b", "b", b"open");
    hans.asks("unblock bob", &["bob is unblocked"]);
    fetch(&world, "bob", &bob, "a", "a", b"secret");
}

/// The right to fetch a file outlives the block; whoever gives it must know.
#[test]
fn a_block_during_a_download_closes_the_door() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    share(&world, "hans", &hans, "a", &content(256 << 20, 1));
    bob.types("download a");
    wait_for("the first of it", || has_begun(&world, "bob"));
    // Bob takes nothing until he is blocked.
    freeze(&bob);
    hans.asks("block BOB", &["bob is blocked"]);
    thaw(&bob);
    bob.sees("a waits: nobody who is online has what is missing");
    // He goes on where he stopped once he may.
    hans.asks("unblock bob", &["bob is unblocked"]);
    bob.sees("a goes on");
    crate::downloaded(&bob, "a");
}

/// Before anything is offered at a login, it is known who is blocked.
#[test]
fn a_block_of_an_earlier_session_counts_from_the_beginning() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    share(&world, "hans", &hans, "a", &content(256 << 20, 1));
    bob.types("download a");
    wait_for("the first of it", || has_begun(&world, "bob"));
    freeze(&bob);
    hans.asks("block bob", &["bob is blocked"]);
    hans.leaves();
    let hans = person(&world, "hans");
    let eva = person(&world, "eva");
    wait_for("what was shared before", || {
        eva.types("searchFile a");
        eva.catches_up().iter().any(|line| line == "Available")
    });
    thaw(&bob);
    bob.sees("a waits: nobody who is online has what is missing");
    bob.types("cancel a");
    bob.sees("Cancelled a, what came is kept");
    drop(hans);
}
