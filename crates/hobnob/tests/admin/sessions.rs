//! Sessions, state and announcements, while others talk.

use super::{admin, done, log};
use crate::support::World;

#[test]
fn a_kicked_user_is_out_at_once_and_comes_back_by_password() {
    let world = World::new();
    let (mut hans, bob, yoda) = (world.user("hans"), world.user("bob"), world.user("yoda"));
    bob.sees("yoda logged in");
    for n in 0..50 {
        bob.types(&format!("message yoda {n}"));
        yoda.types(&format!("message bob {n}"));
    }
    assert_eq!(done(&world, &["kick", "hans"]), "hans is kicked, 1 session ended\n");
    hans.sees("Your session was ended by the server's keeper");
    assert_eq!(hans.ends(), 1);
    bob.sees_all(&["hans logged out", "yoda: 49"]);
    yoda.sees_all(&["hans logged out", "bob: 49"]);
    let send = world.run("hans", &["send", "bob", "x", "--user", "hans"], Some("wrong"), "");
    assert_eq!(send, (1, "Invalid Password. Please try again\n".to_owned()), "no saved session is left");
    let hans = world.user("hans");
    bob.sees("hans logged in");
    hans.leaves();
    assert_eq!(done(&world, &["kick", "hans"]), "hans is kicked\n");
    assert!(log(&world).contains("kicked by the keeper"));
}

#[test]
fn sessions_are_listed_with_where_they_come_from() {
    let world = World::new();
    let _hans = world.user("hans");
    let printed = done(&world, &["sessions"]);
    let line: Vec<&str> = printed.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(line[..3], ["hans", "connected", "127.0.0.1"], "{printed}");
    let json: serde_json::Value =
        serde_json::from_str(&done(&world, &["sessions", "--json"])).expect("one row");
    assert_eq!((&json["user"], &json["state"]), (&"hans".into(), &"connected".into()));
}

#[test]
fn status_tells_how_the_server_is() {
    let world = World::new();
    let hans = world.user("hans");
    hans.asks("broadcast hi", &[]);
    let json: serde_json::Value =
        serde_json::from_str(&done(&world, &["status", "--json"])).expect("one row");
    assert_eq!((&json["version"], &json["users_online"]), (&env!("CARGO_PKG_VERSION").into(), &1.into()));
    assert!(json["fingerprint"].as_str().is_some_and(|key| key.starts_with("SHA256:")), "{json}");
    for field in ["connections", "sessions", "commits", "commit_median_us", "store_bytes"] {
        assert!(json[field].as_u64().is_some_and(|count| count > 0), "{field}: {json}");
    }
    assert!(json["relay"]["devices"].as_u64() == Some(1) && json["queue_requests"].is_u64(), "{json}");
    let printed = done(&world, &["status"]);
    for head in ["version", "key", "process", "connections", "users", "queue", "commits", "store", "relay"] {
        assert!(printed.lines().any(|line| line.starts_with(head)), "{head}: {printed}");
    }
}

#[test]
fn an_announcement_is_a_line_for_everyone_online() {
    let world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    world.user("luke").leaves();
    bob.sees("luke logged out");
    assert_eq!(done(&world, &["announce", "back at noon"]), "Announced to 2 online\n");
    hans.sees("server: back at noon");
    bob.sees("server: back at noon");
    let luke = world.user("luke");
    assert_eq!(luke.catches_up(), Vec::<String>::new(), "nothing is kept for who was not there");
    hans.sees("luke logged in");
    hans.asks("message server hello", &["Error. Invalid user"]);
    assert_eq!(admin(&world, &["announce", "\u{1b}[2J"]).0, 1);
    assert_eq!(super::admin_with(&world, &["announce", "-"], "two\nlines\n").0, 0);
    hans.sees("server: two");
    hans.sees("  lines");
    assert!(!log(&world).contains("back at noon"));
}
