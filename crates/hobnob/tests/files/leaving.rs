//! Leaving while files come and go.

use crate::{content, fetch, freeze, has_begun, person, share, support::World, thaw, wait_for};

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
fn a_person_who_only_takes_part_of_files_does_not_time_out_by_them() {
    let world = World::with(&["--idle-timeout", "3s"]);
    let mut hans = person(&world, "hans");
    share(&world, "hans", &hans, "a", b"a");
    // What a client does by itself is no activity.
    hans.sees("Timeout. You are logged out due to inactivity");
    assert_eq!(hans.ends(), 0);
}
