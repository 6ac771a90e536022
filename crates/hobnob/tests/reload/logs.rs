//! What the logs look like, and where they go.

use std::{fs, os::unix::fs::PermissionsExt};

use rustix::process::Signal;
use serde_json::Value;

use super::{admin, admin_with, hang_up, log, read, wait_for, world_with, write};
use crate::support::World;

const APART: &str = "security-log = \"FOLDER/security.log\"\n";

/// The lines of the security log.
fn security(world: &World) -> Vec<String> {
    read(&world.path("security.log")).lines().map(str::to_owned).collect()
}

/// The one line with this text.
fn line(world: &World, text: &str) -> String {
    wait_for(text, || security(world).iter().any(|line| line.contains(text)));
    let lines = security(world);
    let found: Vec<_> = lines.iter().filter(|line| line.contains(text)).collect();
    assert_eq!(found.len(), 1, "{text}: {lines:#?}");
    found[0].clone()
}

#[test]
fn what_concerns_security_is_in_a_log_of_its_own() {
    let world = world_with(APART, &["--log", "off"], &[]);
    let hans = world.user("hans");
    hans.leaves();
    let registered = line(&world, "event=registered");
    assert!(
        registered.ends_with(" INFO registered event=registered from=127.0.0.1 user=hans"),
        "{registered}"
    );
    let login = line(&world, "event=login ");
    assert!(login.contains("event=login from=127.0.0.1 user=hans by=password device=unchecked"), "{login}");
    assert!(line(&world, "event=session-ended").contains("user=hans reason=logged-out"));
    let mut stranger = world.chat("elsewhere");
    stranger.logs_in("HANS", "wrong");
    for _ in 0..2 {
        stranger.sees("Invalid Password. Please try again");
        stranger.types("wrong");
    }
    stranger.sees("Invalid Password. Your account has been blocked. Please try again later");
    assert_eq!(stranger.ends(), 1);
    let refused =
        "a login was refused event=login-refused from=127.0.0.1 user=hans reason=wrong-password device=new";
    assert_eq!(security(&world).iter().filter(|line| line.contains(refused)).count(), 2);
    assert!(line(&world, "reason=locked-now").contains("event=login-refused from=127.0.0.1 user=hans"));
    assert!(line(&world, "event=locked-out").contains("from=127.0.0.1 user=hans of=strangers seconds=60"));
    assert_eq!(admin(&world, &["unlock", "hans"]).0, 0);
    let unlocked = line(&world, "act=unlock");
    let uid = rustix::process::getuid().as_raw();
    assert!(unlocked.contains(&format!("unlocked by the keeper event=admin uid={uid} act=unlock user=hans")));
    assert_eq!(admin(&world, &["kick", "nobody"]).0, 1);
    assert!(line(&world, "act=kick reason=no-such-user").contains("event=admin"), "of nobody");
    assert_eq!(admin_with(&world, &["add", "HANS"], "x\n").0, 1);
    assert!(line(&world, "reason=name-taken").contains("act=add user=hans"));
    assert_eq!(admin(&world, &["uninvite", "7"]).0, 1);
    assert!(line(&world, "reason=no-such-invitation").contains("act=uninvite invitation=7"));
    assert_eq!(admin(&world, &["users"]).0, 0, "looking is no act");
    let hans = world.user("hans");
    assert!(security(&world).last().unwrap().contains("by=password device=known"));
    hans.types("passwd");
    hans.is_asked("Old password: ");
    hans.types("not it");
    hans.is_asked("New password: ");
    hans.types("new");
    hans.is_asked("Repeat the new password: ");
    hans.types("new");
    assert!(line(&world, "event=password-change-refused").contains("from=127.0.0.1 user=hans failures=1"));
    assert_eq!(log(&world), "", "nothing of it is in the other log");
    let mode = fs::metadata(world.path("security.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn it_goes_on_in_a_new_file_when_the_old_one_was_moved() {
    let mut world = world_with(APART, &[], &[]);
    assert_eq!(admin_with(&world, &["add", "hans"], "x\n").0, 0);
    fs::rename(world.path("security.log"), world.path("security.1")).unwrap();
    assert_eq!(admin_with(&world, &["add", "bob"], "x\n").0, 0);
    hang_up(&world, "reloaded, nothing has changed");
    assert_eq!(admin_with(&world, &["add", "eva"], "x\n").0, 0);
    let old = read(&world.path("security.1"));
    assert!(old.contains("user=hans") && old.contains("user=bob") && !old.contains("user=eva"), "{old}");
    assert!(line(&world, "user=eva").contains("act=add"));
    write(&world, "");
    hang_up(&world, "changed=security-log");
    assert_eq!(admin_with(&world, &["add", "luke"], "x\n").0, 0);
    wait_for("the act in the log", || log(&world).contains("added by the keeper"));
    world.signal(Signal::TERM);
    assert_eq!(world.ended(), 0);
}

#[test]
fn a_log_that_cannot_be_written_stops_nobody() {
    let world = world_with("security-log = \"/dev/full\"\n", &[], &[]);
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    bob.types("message hans x");
    hans.sees("bob: x");
    assert_eq!(log(&world).matches("the security log cannot be written").count(), 1, "{}", log(&world));
}

#[test]
fn json_is_one_object_a_line_in_both_logs() {
    let world = world_with(APART, &["--log-format", "json"], &[]);
    let hans = world.user("hans");
    let refused = world.run("x", &["send", "hans", "x", "--user", "nobody"], Some("x"), "");
    assert_eq!(refused.0, 1, "{}", refused.1);
    write(&world, &format!("{APART}colour = 1\n"));
    assert_eq!(admin(&world, &["reload"]).0, 1);
    hans.leaves();
    wait_for("the end", || security(&world).iter().any(|line| line.contains("session-ended")));
    let object = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{line}"));
    let lines: Vec<Value> = security(&world).iter().map(|line| object(line)).collect();
    let login = lines.iter().find(|line| line["event"] == "login").unwrap();
    assert_eq!((&login["level"], &login["message"]), (&"info".into(), &"logged in".into()));
    assert_eq!((&login["user"], &login["from"]), (&"hans".into(), &"127.0.0.1".into()));
    assert_eq!(login["background"], false);
    let log = log(&world);
    let lines: Vec<Value> = log.lines().map(object).collect();
    assert!(lines.iter().any(|line| line["level"] == "error" && line["time"].is_string()), "{log}");
}
