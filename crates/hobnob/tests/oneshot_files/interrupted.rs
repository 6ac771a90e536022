//! Downloads that do not come to their end at once. The relay's limit makes them last.

use std::fs;

use crate::{Place, code, interrupt, noise, objects, same, support::Running};

const MIB: u64 = 1 << 20;

/// Waits until so many bytes are here; how many there were when any were for the first time.
fn gets_to(getting: &Running, bytes: u64) -> u64 {
    let mut first = None;
    loop {
        let line = getting.line_with("{\"");
        let object = &objects(&line)[0];
        assert_eq!(object["type"], "progress", "{line}");
        assert!(object["direct"] == 0, "{line}");
        let done = object["done"].as_u64().expect("a number");
        if done > 0 {
            first.get_or_insert(done);
        }
        if done >= bytes {
            return first.unwrap_or(done);
        }
    }
}

#[test]
fn the_same_command_goes_on_after_a_crash_and_after_a_signal() {
    let place = Place::with(&["--relay-rate", "1M/s"]);
    let content = noise(8 << 20, 1);
    let path = place.file("big", &content);
    let sharing = place.share("hans", &["--relay-only", &path]);
    sharing.expect("Sharing ");
    let to = place.path("got");
    let get = || place.starts("luke", &["get", "big", "--json", "--downloads", to.to_str().expect("UTF-8")]);
    let crashed = get();
    gets_to(&crashed, 4 * MIB);
    drop(crashed);
    let mut stopped = get();
    let first = gets_to(&stopped, 5 * MIB);
    assert!(first >= 2 * MIB, "of 4 MiB all but the last 2 s were on the disk, but it began with {first}");
    assert_eq!(interrupt(&mut stopped), 130);
    let said = objects(&stopped.everything());
    let last = said.last().expect("a line");
    assert_eq!(
        (&last["type"], &last["name"], &last["resumable"]),
        (&"failed".into(), &"big".into(), &true.into())
    );
    let mut whole = get();
    let first = gets_to(&whole, 5 * MIB);
    assert!(first >= 5 * MIB, "what had come before the signal was kept, but it began with {first}");
    assert_eq!(code(&mut whole), 0);
    same(&to.join("big"), &content);
    assert_eq!(fs::read_dir(&to).expect("a folder").count(), 1, "nothing else is left");
}

#[test]
fn a_download_outlives_the_server() {
    let mut place = Place::new();
    let content = noise(64 << 20, 1);
    let path = place.file("big", &content);
    let _sharing = place.shares("hans", &path);
    let to = place.path("got");
    let mut getting =
        place.starts("luke", &["get", "big", "--json", "--downloads", to.to_str().expect("UTF-8")]);
    // From somebody, or already all of it.
    getting.expect_any(&["\"direct\":1", "\"downloaded\""]);
    place.world.crash();
    assert_eq!(code(&mut getting), 0);
    same(&to.join("big"), &content);
}
