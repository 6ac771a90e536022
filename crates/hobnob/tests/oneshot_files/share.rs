//! Who shares is online, and offers what was named.

use std::fs;

use crate::{Place, code, interrupt, noise, objects, support::WELCOME};

#[test]
fn who_shares_is_seen_to_come_and_go() {
    let place = Place::new();
    let luke = place.world.user("luke");
    let path = place.file("a.txt", b"hello");
    let mut sharing = place.share("hans", &[&path]);
    luke.sees("hans logged in");
    sharing.expect("Sharing a.txt: 5 bytes, 1 chunks, ea8f163db386\n");
    luke.asks("message hans are you there?", &[]);
    sharing.expect("luke: are you there?\n");
    assert_eq!(interrupt(&mut sharing), 0);
    luke.sees("hans logged out");
    assert_eq!(place.run("yoda", &["files"]), (0, "No files are shared now.\n".to_owned()));
}

#[test]
fn only_what_is_named_is_offered_and_a_killed_share_is_no_obstacle() {
    let place = Place::new();
    let (one, two) = (place.file("one", b"1"), place.file("two", b"2"));
    drop(place.shares("hans", &one));
    let mut sharing = place.shares("hans", &two);
    let (code, listed) = place.run("luke", &["files"]);
    assert_eq!((code, listed.lines().count()), (0, 1), "{listed}");
    assert!(listed.contains("  1 source  two\n"), "{listed}");
    assert_eq!(interrupt(&mut sharing), 0);
}

#[test]
fn what_cannot_be_shared_is_said_and_the_rest_goes_on() {
    let place = Place::new();
    let (good, bad) = (place.file("good", b"1"), place.path("bad"));
    let bad = bad.to_str().expect("UTF-8");
    let mut sharing = place.share("hans", &[bad, &good]);
    sharing.expect(&format!("Error. Cannot share {bad}: "));
    sharing.expect("Sharing good: 1 byte, 1 chunks, ");
    assert_eq!(interrupt(&mut sharing), 0);
    let mut nothing = place.share("hans", &[bad, bad]);
    assert_eq!(code(&mut nothing), 1);
    assert_eq!(nothing.everything().matches("Error. Cannot share ").count(), 2);
}

#[test]
fn nobody_shares_beside_an_open_session() {
    let place = Place::new();
    let hans = place.world.user("hans");
    let path = place.file("a", b"1");
    let in_use = "This account is already in use. Please enter another username\n".to_owned();
    assert_eq!(place.run("hans", &["share", &path]), (1, in_use));
    hans.asks("whoelse", &["No one else is online now."]);
}

#[test]
fn programs_read_objects() {
    let place = Place::new();
    let path = place.file("a.txt", &noise(600_000, 1));
    let mut sharing = place.share("hans", &["--json", &path, "nowhere"]);
    sharing.expect("\"sharing\"");
    fs::remove_file(&path).expect("removed");
    sharing.expect("\"ended\"");
    sharing.expect("}");
    assert_eq!(interrupt(&mut sharing), 0);
    let objects = objects(&sharing.everything());
    let of = |kind: &str| objects.iter().find(|object| object["type"] == kind).expect(kind);
    assert_eq!((&of("sharing")["name"], &of("sharing")["size"]), (&"a.txt".into(), &600_000.into()));
    assert_eq!(of("sharing")["chunks"], 3);
    assert_eq!(of("failed")["path"], "nowhere");
    assert_eq!((&of("ended")["id"], &of("ended")["why"]), (&of("sharing")["id"], &"gone".into()));
}

#[test]
fn a_wrong_password_is_no_session() {
    let place = Place::new();
    let path = place.file("a", b"1");
    let arguments = ["share", &path, "--user", "hans"];
    let (code, said) = place.world.run("elsewhere", &arguments, Some("wrong"), "");
    assert_eq!((code, said.as_str()), (1, "Invalid Password. Please try again\n"));
    assert!(!said.contains(WELCOME));
}
