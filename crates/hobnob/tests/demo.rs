//! `hobnob demo`: plays, checks itself and leaves nothing behind.

mod support;

use std::{fs, path::Path};

use rustix::process::Signal;
use support::{Running, hobnob};

/// A demo that has begun, with folders of its own for all that it could leave behind.
fn demo(folder: &Path) -> Running {
    let places = [folder.join("home"), folder.join("tmp")];
    places.iter().for_each(|place| fs::create_dir(place).expect("a folder"));
    let mut command = hobnob(&places[0]);
    command.arg("demo").env("TMPDIR", &places[1]);
    Running::start(command, folder.join("log"))
}

fn nothing_is_left_in(folder: &Path) {
    for place in ["home", "tmp"] {
        let left: Vec<_> = fs::read_dir(folder.join(place)).expect("a folder").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn every_step_comes_out_as_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = demo(folder.path());
    let status = demo.wait();
    let transcript = demo.everything();
    let log = fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(status.success(), "{transcript}{log}");
    assert_eq!(log, "");
    assert!(transcript.ends_with("steps came out as written.\n"), "{transcript}");
    assert!(!transcript.contains('\x1b'), "no colour in a pipe");
    assert!(transcript.lines().all(|line| line.chars().count() <= 100), "{transcript}");
    // A step: what one types in the first column, and what another sees in the second.
    let mut lines = transcript.lines().map(|line| line.split('│').map(str::trim).collect::<Vec<_>>());
    assert!(lines.any(|cells| cells[..] == ["> private yoda Between us", "", ""]), "{transcript}");
    let below = lines.next().expect("a line below");
    assert_eq!(below, ["", "hans(private): Between us", ""], "{transcript}");
    // Two have fetched a file, each from the one who had it and from the other.
    let column = |number: usize| {
        let cells = transcript.lines().filter_map(|line| line.split('│').nth(number));
        cells.map(str::trim).collect::<Vec<_>>().join(" ")
    };
    for fetcher in [1, 2] {
        let text = column(fetcher);
        assert!(text.contains("Downloaded film.mp4: 8.0 MiB from 2 peers in "), "{transcript}");
    }
    let sum = transcript.lines().find(|line| line.matches("  film.mp4").count() == 3).expect("three sums");
    let ids: Vec<_> = sum.split('│').filter_map(|cell| cell.split_whitespace().next()).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| id.len() == 12 && *id == ids[0]), "{transcript}");
    nothing_is_left_in(folder.path());
}

#[test]
fn interrupted_it_leaves_nothing_behind_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = demo(folder.path());
    demo.expect("Three people register");
    demo.signal(Signal::INT);
    assert!(!demo.wait().success());
    nothing_is_left_in(folder.path());
}
