//! Invitations: made by the keeper, used in a chat.

use super::{admin, command, done, log, output, refusal};
use crate::support::{Chat, WELCOME, World};

const HINT: &str = "New users need an invitation here. If you have one, leave the password empty";
const NOT_VALID: &str = "Error. This invitation is not valid";
const NEW_USER: &str = "This is a new user. Enter a password: ";

/// A server that takes new users by invitation.
fn world() -> World {
    World::with(&["--registration", "invite"])
}

/// The code and the link of a new invitation.
fn invite(world: &World, arguments: &[&str]) -> (String, String) {
    let printed = done(world, &[&["invite"], arguments].concat());
    let after = |head: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(head));
        line.unwrap_or_else(|| panic!("no {head} in {printed}")).to_owned()
    };
    (after("Code  "), after("Link  "))
}

/// A chat of `name` in which the invitation is asked for.
fn newcomer(world: &World, place: &str, name: &str) -> Chat {
    let chat = world.chat(place);
    chat.is_asked("Username: ");
    chat.types(name);
    chat.sees(HINT);
    chat.is_asked("Password: ");
    chat.types("");
    chat.is_asked("Invitation: ");
    chat
}

#[test]
fn who_is_invited_comes_in_and_is_a_user_as_any() {
    let world = world();
    let (code, link) = invite(&world, &["--uses", "2", "--note", "class 6b"]);
    assert!(done(&world, &["invites"]).contains("class 6b"));
    let hans = newcomer(&world, "hans", "hans");
    hans.types(&link);
    hans.is_asked(NEW_USER);
    hans.types("hans-secret");
    hans.sees(WELCOME);
    hans.asks("message hans2 hello", &["Error. Invalid user"]);
    hans.leaves();
    // Read aloud, the code comes otherwise. A name that is taken costs nothing.
    let yoda = newcomer(&world, "yoda", "Hans");
    yoda.types(&code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l"));
    yoda.sees("Error. This name is taken. Please enter another username");
    yoda.is_asked("Username: ");
    yoda.types("server");
    yoda.is_asked("Error. This name cannot be used: ");
    yoda.is_asked("Username: ");
    yoda.types("yoda");
    yoda.is_asked(NEW_USER);
    yoda.types("yoda-secret");
    yoda.sees(WELCOME);
    // Who has an account is asked for nothing else than ever.
    let hans = world.user("hans");
    yoda.sees("hans logged in");
    hans.asks("message yoda welcome", &[]);
    yoda.sees("hans: welcome");
    let send = ["send", "hans", "x", "--user", "yoda"];
    assert_eq!(world.run("yoda", &send, Some("yoda-secret"), ""), (0, String::new()));
    assert_eq!(done(&world, &["invites"]).lines().count(), 1, "only the heading is left");
    let log = log(&world);
    let secrets = [code.clone(), code.replace('-', ""), link];
    assert!(!secrets.iter().any(|secret| log.contains(secret)), "{log}");
    assert!(log.contains("invitation made by the keeper") && log.contains("registered"));
}

#[test]
fn the_third_invitation_that_is_worth_nothing_ends_the_chat() {
    let world = world();
    let (code, _) = invite(&world, &[]);
    let mut hans = newcomer(&world, "hans", "hans");
    hans.types(&code[1..]);
    hans.sees(NOT_VALID);
    hans.is_asked("Invitation: ");
    // Right as a code, but nobody has made it.
    hans.types("0000-0000-0000-0000-0000-0000-0000");
    hans.sees(NOT_VALID);
    hans.is_asked("Invitation: ");
    hans.types("please");
    hans.sees(NOT_VALID);
    assert_eq!(hans.ends(), 1);
    let hans = newcomer(&world, "hans", "hans");
    hans.types(&code);
    hans.is_asked(NEW_USER);
    assert_eq!(done(&world, &["uninvite", "1"]), "Invitation 1 is taken back\n");
    hans.types("secret");
    hans.sees(NOT_VALID);
    hans.is_asked("Invitation: ");
    hans.types(&invite(&world, &["--expires", "off"]).0);
    hans.is_asked(NEW_USER);
    hans.types("secret");
    hans.sees(WELCOME);
    hans.leaves();
}

#[test]
fn an_invitation_is_shown_to_no_other_server_than_its_own() {
    let (own, other) = (world(), world());
    let (_, link) = invite(&own, &[]);
    let mut hans = newcomer(&other, "hans", "hans");
    hans.types(&link);
    let key = link.split_once('@').expect("a key").1;
    hans.is_asked(&format!("Error. The invitation is for a server with the key {key}, but "));
    assert_eq!(hans.ends(), 1);
    assert!(!log(&other).contains("an invitation was refused"), "it was sent");
    let known = std::fs::read_to_string(other.path("hans/known_servers")).expect("a file");
    assert_eq!(known, "", "what was trusted at first contact is so no more");
    // Where the key is the right one it stays.
    let hans = newcomer(&own, "hans", "hans");
    hans.types(&link);
    hans.is_asked(NEW_USER);
    let known = std::fs::read_to_string(own.path("hans/known_servers")).expect("a file");
    assert_eq!(known.split_whitespace().last(), Some(key));
}

#[test]
fn one_shots_make_no_account_and_say_where_to_make_one() {
    let world = world();
    invite(&world, &[]);
    let refused = world.run("hans", &["send", "hans", "x", "--user", "hans"], Some("guess"), "");
    let hint = format!("If you are new, use your invitation with: hobnob chat {}", world.address());
    assert_eq!(refused, (1, format!("Invalid Password. Please try again\n{hint}\n")));
    let listed = world.run("hans", &["files", "--json", "--user", "hans"], Some("guess"), "");
    assert_eq!(listed, (1, String::new()), "words are no JSON");
}

#[test]
fn programs_make_list_and_take_back_invitations() {
    let world = World::new();
    let made = done(&world, &["invite", "--uses", "30", "--expires", "2h", "--note", "a\u{202e}b", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let made = &made["invitation"];
    assert_eq!((&made["id"], &made["uses"], &made["registration"]), (&1.into(), &30.into(), &"open".into()));
    let (code, link) = (made["code"].as_str().expect("a code"), made["link"].as_str().expect("a link"));
    assert!(link.starts_with(&format!("hobnob-invite:{code}@SHA256:")), "{link}");
    let rows = done(&world, &["invites", "--json"]);
    let row: serde_json::Value = serde_json::from_str(&rows).expect("JSON");
    assert_eq!((&row["id"], &row["uses_left"]), (&1.into(), &30.into()));
    assert_eq!(row["expires_ms"].as_i64(), row["made_ms"].as_i64().map(|ms| ms + 2 * 3_600_000));
    assert!(!rows.contains(code));
    assert!(done(&world, &["invites"]).contains("a<U+202E>b"));
    assert!(done(&world, &["invite"]).contains("Nobody asks for it yet"));
    assert_eq!(done(&world, &["uninvite", "1", "--json"]), "{\"id\":1}\n");
    assert_eq!(refusal(&world, &["uninvite", "1"]), "no-such-invitation");
    for wrong in [
        &["invite", "--uses", "0"][..],
        &["invite", "--expires", "0"],
        &["invite", "--expires", "soon"],
        &["invite", "hans"],
        &["uninvite"],
        &["uninvite", "x"],
    ] {
        assert_eq!(admin(&world, wrong).0, 2, "{wrong:?}");
    }
    let nowhere = ["--data", "/nowhere"];
    assert_eq!(output(command(&world, &[&["invites"], &nowhere[..]].concat()), "").status.code(), Some(3));
}

#[test]
fn nobody_is_imported_under_the_name_of_the_server_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("people.txt");
    std::fs::write(&file, "hans secret\nServer secret\n").expect("written");
    let mut serve = crate::support::hobnob(folder.path());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--credentials"]).arg(&file);
    serve.arg("--data").arg(folder.path().join("server"));
    let refused = output(serve, "");
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("line 2: the name cannot be used: server is who speaks for the server itself"),
        "{said}"
    );
}
