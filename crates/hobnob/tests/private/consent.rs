//! Asking and answering, up to the talk or instead of it.

use crate::{
    both_hear_each_other, connect, pair, question,
    support::{Chat, WELCOME, World},
};

#[test]
fn both_see_each_step() {
    let world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    connect(("hans", &hans), ("bob", &bob));
    both_hear_each_other(("hans", &hans), ("bob", &bob), "hello");
    hans.types("stopprivate bob");
    hans.sees("Stop private messaging with bob");
    bob.sees("hans stopped private messaging");
    let login = |prompt| format!("Username: \n{prompt}\n{WELCOME}\n");
    let new = "This is a new user. Enter a password: ";
    assert_eq!(
        hans.everything(),
        login(new)
            + "bob logged in\nStart private messaging with bob\nbob accepts private messaging\n\
               bob(private): hello too\nStop private messaging with bob\n"
    );
    assert_eq!(
        bob.everything(),
        login(new)
            + "hans would like to private message, enter y or n: \nStart private messaging with hans\n\
               hans(private): hello\nhans stopped private messaging\n"
    );
}

#[test]
fn who_says_no_hears_nothing_more() {
    let world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    for answer in ["n", "decline hans"] {
        hans.types("startprivate bob");
        hans.sees("Start private messaging with bob");
        bob.is_asked(&question("hans"));
        bob.types(answer);
        hans.sees("bob declines private messaging");
        assert_eq!(bob.catches_up(), Vec::<String>::new());
    }
    hans.asks("private bob hi", &["Error. Private messaging to bob not enabled"]);
    bob.asks("y", &["Error. No request to answer"]);
    // It is no obstacle to another try.
    connect(("hans", &hans), ("bob", &bob));
}

#[test]
fn one_question_at_a_time_and_commands_work_below_it() {
    let world = World::new();
    let bob = world.user("bob");
    let (hans, eva, ida) = (world.user("hans"), world.user("eva"), world.user("ida"));
    bob.sees("ida logged in");
    for (name, asking) in [("hans", &hans), ("eva", &eva), ("ida", &ida)] {
        asking.types("startprivate bob");
        asking.sees("Start private messaging with bob");
        if name == "hans" {
            bob.is_asked(&question("hans"));
        }
    }
    bob.asks("whoelsesince soon", &["Error. Usage: whoelsesince <seconds>"]);
    bob.types("message hans meanwhile");
    hans.sees("bob: meanwhile");
    hans.types("message bob I hear you");
    bob.sees("hans: I hear you");
    // One that waits is answered by name, the one that stands by a letter.
    bob.types("accept ida");
    ida.sees("bob accepts private messaging");
    bob.sees("Start private messaging with ida");
    bob.asks("accept ida", &["Error. No request to answer"]);
    bob.types("y");
    bob.is_asked(&question("eva"));
    hans.sees("bob accepts private messaging");
    bob.sees("Start private messaging with hans");
    bob.types("n");
    eva.sees("bob declines private messaging");
    bob.asks("n", &["Error. No request to answer"]);
    for (name, asking) in [("hans", &hans), ("ida", &ida)] {
        both_hear_each_other((name, asking), ("bob", &bob), "several at once");
    }
}

#[test]
fn two_who_ask_each_other_have_consented() {
    let world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    hans.types("startprivate bob");
    hans.sees("Start private messaging with bob");
    bob.is_asked(&question("hans"));
    bob.types("startprivate hans");
    hans.sees("bob accepts private messaging");
    bob.sees("Start private messaging with hans");
    both_hear_each_other(("hans", &hans), ("bob", &bob), "hello");
    assert_eq!(hans.catches_up(), Vec::<String>::new());
    bob.asks("y", &["Error. No request to answer"]);
    // And at the same moment.
    hans.types("stopprivate bob");
    bob.sees("hans stopped private messaging");
    hans.types("startprivate bob");
    bob.types("startprivate hans");
    for (chat, other) in [(&hans, "bob"), (&bob, "hans")] {
        chat.sees(&format!("Start private messaging with {other}"));
    }
    // Whoever was first is told when the link is there, the other begins with it.
    let accepts =
        |chat: &Chat, other| chat.catches_up().contains(&format!("{other} accepts private messaging"));
    assert!((0..1000).any(|_| accepts(&hans, "bob") || accepts(&bob, "hans")));
    both_hear_each_other(("hans", &hans), ("bob", &bob), "again");
}

#[test]
fn a_request_can_be_taken_back() {
    let world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    hans.types("startprivate bob");
    hans.sees("Start private messaging with bob");
    bob.is_asked(&question("hans"));
    hans.asks("stopprivate bob", &["Stop private messaging with bob"]);
    bob.sees("hans stopped private messaging");
    bob.asks("y", &["Error. No request to answer"]);
    hans.asks("stopprivate bob", &["Error. No private messaging session with bob"]);
}

#[test]
fn a_request_ends_with_either_of_the_two() {
    let world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    hans.types("startprivate bob");
    bob.is_asked(&question("hans"));
    hans.leaves();
    bob.sees("The request of hans has expired");
    bob.asks("y", &["Error. No request to answer"]);

    let hans = world.user("hans");
    hans.types("startprivate bob");
    hans.sees("Start private messaging with bob");
    bob.is_asked(&question("hans"));
    bob.leaves();
    hans.sees("bob did not answer");
}

#[test]
fn what_cannot_be_is_said() {
    let world = World::new();
    world.user("off").leaves();
    let (hans, bob) = pair(&world);
    for (line, error) in [
        ("startprivate", "Error. Usage: startprivate <user>"),
        ("startprivate hans", "Error. Cannot start private messaging with self"),
        ("startprivate HANS", "Error. Cannot start private messaging with self"),
        ("startprivate bob", "Error. You have already connected with bob"),
        ("startprivate BOB", "Error. You have already connected with bob"),
        ("startprivate a:b", "Error. Invalid user"),
        ("private hans hi", "Error. Cannot send private message to self"),
        ("private off hi", "Error. Private messaging to off not enabled"),
        ("private nobody hi", "Error. Private messaging to nobody not enabled"),
        ("private bob", "Error. Usage: private <user> <message>"),
        ("stopprivate off", "Error. No private messaging session with off"),
        ("stopprivate nobody", "Error. No private messaging session with nobody"),
        ("path off", "Error. No private messaging session with off"),
        ("verify off", "Error. No key of off is known yet"),
        ("y", "Error. No request to answer"),
        ("n", "Error. No request to answer"),
        ("accept bob", "Error. No request to answer"),
        ("y now", "Error. Usage: y"),
        ("verify bob twice", "Error. Usage: verify <user> [ok]"),
        ("private bob a\u{7}b", "Error. The message contains control characters"),
    ] {
        hans.asks(line, &[error]);
    }
    // Asked of the server, in the order typed.
    for (line, error) in [
        ("startprivate nobody", "Error. Invalid user"),
        ("startprivate off", "Error. Cannot start private messaging. off is offline"),
        ("startprivate OFF", "Error. Cannot start private messaging. off is offline"),
    ] {
        hans.asks(line, &[error]);
    }
    assert_eq!(bob.catches_up(), Vec::<String>::new(), "nobody is told of any of it");
}
