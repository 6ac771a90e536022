//! Commands without a conversation, and how the program is started.

mod support;

use support::{Running, WELCOME, World, hobnob};

#[test]
fn send_delivers_without_coming_online() {
    let world = World::new();
    world.user("hans").leaves();
    let bob = world.user("bob");
    let send = |text: &[&str], password, input: &str| {
        let arguments = [&["send", "bob"][..], text, &["--user", "hans"]].concat();
        world.run("one-shot", &arguments, password, input)
    };
    assert_eq!(send(&["hello there"], Some("hans-secret"), ""), (0, String::new()));
    bob.sees("hans: hello there");
    assert_eq!(send(&["-"], None, "two\r\nlines\n"), (0, String::new()), "the session was saved");
    bob.sees("hans: two");
    bob.sees("  lines");
    assert_eq!(send(&[], None, " \n\tfrom  a pipe \n\n"), (0, String::new()));
    bob.sees("hans: from  a pipe");
    assert_eq!(bob.catches_up(), Vec::<String>::new(), "nobody is told of a one-shot");
    bob.asks("block hans", &["hans is blocked"]);
    let blocked = "Your message could not be delivered as the recipient has blocked you\n";
    assert_eq!(send(&["hi"], None, ""), (1, blocked.to_owned()));
}

#[test]
fn send_works_beside_an_open_session_and_needs_no_name_where_there_is_one() {
    let world = World::new();
    let hans = world.user("hans");
    let bob = world.user("bob");
    hans.sees("bob logged in");
    assert_eq!(world.run("hans", &["send", "bob", "beside"], None, ""), (0, String::new()));
    bob.sees("hans: beside");
    assert_eq!(hans.catches_up(), Vec::<String>::new());
}

#[test]
fn send_tries_every_saved_session() {
    let world = World::new();
    let hans = world.user("hans");
    world.user("bob").leaves();
    let send = || world.run("hans", &["send", "bob", "hi", "--user", "hans"], None, "");
    assert_eq!(send(), (0, String::new()), "by the token of the chat");
    hans.types("passwd\nhans-secret\nnew\nnew");
    hans.sees("Password changed");
    assert_eq!(send(), (0, String::new()), "its own token is no longer good, that of the chat is");
}

#[test]
fn what_cannot_be_a_password_is_misuse() {
    let world = World::new();
    world.user("hans").leaves();
    let long = "x".repeat(129);
    let file = world.path("password");
    let with_file = ["send", "bob", "hi", "--user", "hans", "--password-file", file.to_str().expect("UTF-8")];
    for wrong in ["", "\nhans-secret", &long] {
        std::fs::write(&file, wrong).expect("written");
        assert_eq!(world.run("one-shot", &with_file, None, ""), (2, String::new()));
    }
    assert_eq!(world.run("one-shot", &with_file[..5], Some(&long), ""), (2, String::new()));
    assert_eq!(world.run("one-shot", &["tail", "--user", ""], None, ""), (2, String::new()));
    let home = world.user("hans");
    assert_eq!(home.catches_up(), Vec::<String>::new(), "nothing of this was an attempt to log in");
}

#[test]
fn send_says_why_not() {
    let mut world = World::new();
    world.user("hans").leaves();
    let send = |world: &World, arguments: &[&str], password| {
        world.run("one-shot", &[&["send"], arguments].concat(), password, "")
    };
    let hans = ["bob", "hi", "--user", "hans"];
    assert_eq!(send(&world, &hans, Some("wrong")), (1, "Invalid Password. Please try again\n".to_owned()));
    assert_eq!(send(&world, &hans, Some("hans-secret")), (1, "Error. Invalid user\n".to_owned()));
    assert_eq!(send(&world, &["hans", "hi", "--user", "hans"], None).1, "Error. Cannot message self\n");
    assert_eq!(send(&world, &["bob", "", "--user", "hans"], None).0, 2);
    world.stop();
    let away = format!("Error. No server at {}\n", world.address());
    assert_eq!(send(&world, &hans, Some("hans-secret")), (1, away));
}

#[test]
fn tail_prints_what_is_said() {
    let world = World::new();
    world.user("hans").leaves();
    let bob = world.user("bob");
    let mut command = hobnob(&world.path("home"));
    command.args(["tail", "--json", "--server", &format!("hans@{}", world.address()), "--data"]);
    command.arg(world.path("tail")).env("HOBNOB_PASSWORD", "hans-secret");
    let mut tail = Running::start(command, world.path("tail.log"));
    bob.sees("hans logged in");
    bob.asks("message hans \"hi\"", &[]);
    tail.expect(r#""sender":"bob""#);
    tail.expect(r#""text":"\"hi\"""#);
    tail.signal(rustix::process::Signal::INT);
    assert!(tail.wait().success());
    bob.sees("hans logged out");
}

#[test]
fn misuse_exits_2_and_reports_all_of_it() {
    let home = tempfile::tempdir().expect("a folder");
    let output = hobnob(home.path())
        .args(["serve", "--listen", "nowhere", "--send-rate", "fast"])
        .env("HOBNOB_BLOCK_DURATION", "soon")
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let report = String::from_utf8_lossy(&output.stderr);
    for mistake in ["--listen", "--send-rate", "HOBNOB_BLOCK_DURATION"] {
        assert!(report.contains(mistake), "{report}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn credentials_are_accounts() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("credentials");
    std::fs::write(&file, "hans pass word\r\nbob #\"\\x").expect("written");
    let world = World::with(&["--credentials", file.to_str().expect("UTF-8"), "--registration", "closed"]);
    for (name, password) in [("hans", "pass word"), ("bob", "#\"\\x")] {
        let chat = world.chat(name);
        chat.logs_in(name, password);
        chat.sees(WELCOME);
        chat.leaves();
    }
}
