//! Accounts: made, reset, unlocked, disabled, renamed, deleted, listed.

use super::{admin, admin_with, done, log, refusal};
use crate::support::{WELCOME, World};

const KICKED: &str = "Your session was ended by the server's keeper";
const EXPIRED: &str = "Error. Your session has ended, please log in again";
const DISABLED: &str = "This account is disabled. Please ask the server's keeper";

#[test]
fn an_added_user_can_log_in_where_nobody_can_register() {
    let world = World::with(&["--registration", "closed"]);
    let added = admin_with(&world, &["add", "hans"], "pass word\nmore\n");
    assert_eq!(added, (0, "hans is added\n".to_owned()));
    let chat = world.chat("hans");
    chat.logs_in("hans", "pass word");
    chat.sees(WELCOME);
    chat.leaves();
    let printed = done(&world, &["add", "yoda", "--generate"]);
    let password = printed.lines().last().and_then(|line| line.strip_prefix("Password, shown only now: "));
    let password = password.expect("a password");
    let chat = world.chat("yoda");
    chat.logs_in("yoda", password);
    chat.sees(WELCOME);
    assert_eq!(admin_with(&world, &["add", "luke"], "").0, 2, "there is no password");
    assert_eq!(refusal(&world, &["add", "HANS", "--generate"]), "name-taken");
    assert_eq!(refusal(&world, &["add", "server", "--generate"]), "name-refused");
    assert_eq!(refusal(&world, &["add", "y\u{43e}da", "--generate"]), "name-refused");
    let log = log(&world);
    assert!(log.contains("added by the keeper") && !log.contains("pass word") && !log.contains(password));
}

#[test]
fn users_are_listed() {
    let world = World::new();
    let hans = world.user("hans");
    world.user("bob").leaves();
    done(&world, &["disable", "bob"]);
    let printed = done(&world, &["users"]);
    let lines: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "STATE", "LAST", "SEEN"]);
    assert_eq!((lines[1][..2].to_vec(), lines[1].len()), (vec!["bob", "disabled"], 5), "{printed}");
    assert_eq!(lines[2], ["hans", "online", "now"]);
    let json = done(&world, &["users", "--json"]);
    let users: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((users.len(), &users[0]["name"], &users[0]["disabled"]), (2, &"bob".into(), &true.into()));
    assert_eq!(users[1]["online"], true);
    hans.leaves();
}

#[test]
fn a_reset_ends_the_session_and_the_lock_out() {
    let world = World::new();
    let mut hans = world.user("hans");
    let bob = world.user("bob");
    let reset = admin_with(&world, &["reset", "hans"], "another\n");
    assert_eq!(reset, (0, "hans has a new password, 1 session ended\n".to_owned()));
    hans.sees(EXPIRED);
    assert_eq!(hans.ends(), 1);
    bob.sees("hans logged out");
    let mut locked = world.chat("elsewhere");
    locked.logs_in("hans", "hans-secret");
    for _ in 0..2 {
        locked.sees("Invalid Password. Please try again");
        locked.types("hans-secret");
    }
    locked.sees("Invalid Password. Your account has been blocked. Please try again later");
    assert_eq!(locked.ends(), 1);
    assert!(done(&world, &["users"]).contains("locked until"));
    assert_eq!(done(&world, &["unlock", "hans"]), "hans is unlocked\n");
    let again = world.chat("elsewhere");
    again.logs_in("hans", "another");
    again.sees(WELCOME);
    assert!(!log(&world).contains("another"));
}

#[test]
fn a_disabled_account_is_told_only_to_who_has_the_password() {
    let world = World::new();
    let mut hans = world.user("hans");
    assert_eq!(done(&world, &["disable", "hans"]), "hans is disabled, 1 session ended\n");
    hans.sees(KICKED);
    assert_eq!(hans.ends(), 1);
    let mut again = world.chat("hans");
    again.logs_in("hans", "guess");
    again.sees("Invalid Password. Please try again");
    again.types("hans-secret");
    again.sees(DISABLED);
    assert_eq!(again.ends(), 1);
    let send =
        |world: &World| world.run("hans", &["send", "hans", "x", "--user", "hans"], Some("hans-secret"), "");
    assert_eq!(send(&world), (1, format!("{DISABLED}\n")), "no saved session is left");
    assert_eq!(done(&world, &["enable", "hans"]), "hans is enabled\n");
    let hans = world.user("hans");
    hans.leaves();
}

#[test]
fn a_renamed_user_goes_on_under_the_new_name() {
    let world = World::new();
    let (mut hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    bob.asks("message hans kept", &[]);
    hans.sees("bob: kept");
    assert_eq!(done(&world, &["rename", "hans", "luke"]), "hans is luke now, 1 session ended\n");
    hans.sees(KICKED);
    assert_eq!(hans.ends(), 1);
    bob.sees("hans logged out");
    bob.asks("message luke waits", &[]);
    bob.asks("message hans nobody", &["Error. Invalid user"]);
    let luke = world.chat("luke");
    luke.logs_in("luke", "hans-secret");
    luke.sees("bob: waits");
    bob.sees("luke logged in");
    assert_eq!(done(&world, &["rename", "luke", "luke"]), "luke is luke now\n");
    luke.asks("whoelse", &["bob"]);
    assert_eq!(refusal(&world, &["rename", "luke", "bob"]), "name-taken");
    assert_eq!(refusal(&world, &["rename", "luke", "admin"]), "name-refused");
    assert_eq!(refusal(&world, &["rename", "nobody", "x"]), "no-such-user");
    let other = world.user("hans");
    other.asks("whoelse", &["bob", "luke"]);
}

#[test]
fn whoever_takes_a_deleted_name_inherits_nothing() {
    let world = World::new();
    let (mut hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    hans.asks("message bob to keep", &[]);
    bob.sees("hans: to keep");
    bob.asks("block hans", &["hans is blocked"]);
    bob.asks("message hans seen by the old one", &[]);
    hans.sees("bob: seen by the old one");
    hans.asks("block bob", &["bob is blocked"]);
    assert_eq!(done(&world, &["delete", "hans"]), "hans is deleted, 1 session ended\n");
    hans.sees(KICKED);
    assert_eq!(hans.ends(), 1);
    bob.asks("message hans gone", &["Error. Invalid user"]);
    bob.asks("blocks", &["You have blocked no one"]);
    bob.asks("whoelsesince 1000", &["No one else is logged in since 1000 seconds ago."]);
    // From the old one's own machine, where its folder still lies.
    let new = world.chat("hans");
    new.is_asked("Username: ");
    new.types("hans");
    new.is_asked("This is a new user. Enter a password: ");
    new.types("new-secret");
    new.sees(WELCOME);
    new.asks("blocks", &["You have blocked no one"]);
    bob.sees("hans logged in");
    // The old one's numbers mean nothing here: its outbox was further, its inbox too.
    new.asks("message bob I am new", &[]);
    bob.sees("hans: I am new");
    bob.asks("message hans welcome", &[]);
    new.sees("bob: welcome");
    assert_eq!(admin(&world, &["delete", "nobody"]).0, 1);
}
