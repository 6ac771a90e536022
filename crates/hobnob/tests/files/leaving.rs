//! Leaving while files come and go.

use crate::{content, fetch, freeze, has_begun, person, person_with, share, support::World, thaw, wait_for};

const LARGE: usize = 256 << 20;

#[test]
fn who_leaves_keeps_what_came() {
    let world = World::new();
    let (hans, mut bob) = (person(&world, "hans"), person(&world, "bob"));
    let bytes = content(LARGE, 1);
    share(&world, "hans", &hans, "a", &bytes);
    bob.types("download a");
    wait_for("the first of it", || has_begun(&world, "bob"));
    freeze(&hans);
    bob.end_input();
    bob.sees("1 download is not finished; the same command goes on where it stopped");
    bob.sees("Goodbye.");
    assert_eq!(bob.ends(), 0);
    thaw(&hans);
    let bob = person(&world, "bob");
    fetch(&world, "bob", &bob, "a", "a", &bytes);
    bob.leaves();
    hans.leaves();
}

#[test]
fn what_a_client_does_by_itself_is_no_activity() {
    let world = World::with(&["--idle-timeout", "3s"]);
    let mut hans = person(&world, "hans");
    share(&world, "hans", &hans, "a", b"a");
    hans.sees("Timeout. You are logged out due to inactivity");
    assert_eq!(hans.ends(), 0);
}

#[test]
fn who_waits_for_a_download_is_not_logged_out() {
    let world = World::with(&["--idle-timeout", "8s", "--relay-rate", "512K/s"]);
    let (hans, bob) = (person_with(&world, "hans", &["--relay-only"]), person(&world, "bob"));
    share(&world, "hans", &hans, "a", &content(6 << 20, 1));
    bob.types("download a");
    for _ in 0..2 {
        // One every five seconds; whoever gives it has to do something.
        let line = bob.finds("a: ");
        assert!(line.ends_with(", 1 source, relayed"), "{line}");
        hans.catches_up();
    }
    crate::downloaded(&bob, "a");
}
