//! What people see who log in and talk through one server: the texts of logging in, messages, presence and blocks.

mod support;

use support::{WELCOME, World};

#[test]
fn a_new_name_is_an_account_from_then_on() {
    let world = World::new();
    let hans = world.chat("hans");
    hans.is_asked("Username: ");
    hans.types("Hans");
    hans.is_asked("\nThis is a new user. Enter a password: ");
    hans.types("secret");
    hans.sees(WELCOME);
    hans.leaves();

    let again = world.chat("again");
    again.logs_in("hans", "secret");
    again.sees(WELCOME);
    assert_eq!(again.everything(), format!("Username: \nPassword: \n{WELCOME}\n"));
    again.leaves();
}

#[test]
fn names_that_cannot_be_are_refused_and_asked_again() {
    let world = World::new();
    let mut chat = world.chat("anyone");
    for name in ["admin", "a:b", "a b", &"x".repeat(33)] {
        chat.is_asked("Username: ");
        chat.types(name);
        chat.is_asked("\nError. This name cannot be used: ");
    }
    chat.is_asked("Username: ");
    chat.end_input();
    assert_eq!(chat.ends(), 1);
}

#[test]
fn leaving_before_anything_was_refused_is_no_failure() {
    let world = World::new();
    let mut chat = world.chat("anyone");
    chat.is_asked("Username: ");
    chat.end_input();
    assert_eq!(chat.ends(), 0);
    let mut chat = world.chat("anyone");
    chat.is_asked("Username: ");
    chat.interrupt();
    assert_eq!(chat.ends(), 0);
}

#[test]
fn three_wrong_passwords_block_the_name_for_strangers() {
    let world = World::new();
    world.user("hans").leaves();
    let mut thief = world.chat("thief");
    thief.logs_in("hans", "1");
    thief.sees("Invalid Password. Please try again");
    thief.is_asked("Password: ");
    thief.types("2");
    thief.sees("Invalid Password. Please try again");
    thief.is_asked("Password: ");
    thief.types("3");
    thief.sees("Invalid Password. Your account has been blocked. Please try again later");
    assert_eq!(thief.ends(), 1);

    let mut late = world.chat("late");
    late.logs_in("hans", "hans-secret");
    late.sees("Your account is blocked due to multiple login failures. Please try again later");
    assert_eq!(late.ends(), 1);

    let home = world.user("hans");
    home.sees("3 failed login attempts since your last login");
    home.leaves();
}

#[test]
fn a_name_that_is_online_is_not_opened_twice() {
    let world = World::new();
    let hans = world.user("hans");
    let mut second = world.chat("second");
    second.logs_in("hans", "wrong");
    second.sees("Invalid Password. Please try again");
    second.is_asked("Password: ");
    second.types("hans-secret");
    second.sees("This account is already in use. Please enter another username");
    second.is_asked("Username: ");
    second.end_input();
    assert_eq!(second.ends(), 1);
    assert_eq!(hans.catches_up(), Vec::<String>::new());
}

#[test]
fn closed_registration_does_not_tell_which_names_exist() {
    let world = World::with(&["--registration", "closed"]);
    let mut chat = world.chat("anyone");
    chat.logs_in("nobody", "1");
    for _ in 0..2 {
        chat.sees("Invalid Password. Please try again");
        chat.is_asked("Password: ");
        chat.types("1");
    }
    chat.sees("Invalid Password. Your account has been blocked. Please try again later");
    assert_eq!(chat.ends(), 1);
}

#[test]
fn messages_arrive_once_in_order_and_as_they_were() {
    let world = World::new();
    let hans = world.user("hans");
    let bob = world.user("bob");
    hans.sees("bob logged in");
    for text in ["  two  spaces\tand a tab  ", "ünï \u{1f600}", "/logout", "\\ \" ' % $(x)"] {
        hans.types(&format!("message bob {text}"));
        bob.sees(&format!("hans: {}", text.trim()));
    }
    hans.asks("message BOB hi", &[]);
    bob.sees("hans: hi");
    bob.leaves();
    hans.sees("bob logged out");
    for number in 1..=20 {
        hans.types(&format!("message bob {number}"));
    }
    assert_eq!(hans.catches_up(), Vec::<String>::new());
    let bob = world.user("bob");
    for number in 1..=20 {
        bob.sees(&format!("hans: {number}"));
    }
    bob.leaves();
    let bob = world.user("bob");
    assert_eq!(bob.catches_up(), Vec::<String>::new(), "nothing comes twice");
}

#[test]
fn mistakes_are_answered_in_turn() {
    let world = World::new();
    let hans = world.user("hans");
    world.user("bob").leaves();
    hans.sees("bob logged out");
    hans.asks("message nobody hi", &["Error. Invalid user"]);
    hans.asks("message hans hi", &["Error. Cannot message self"]);
    hans.asks("message bob", &["Error. Usage: message <user> <message>"]);
    hans.asks("nonsense", &["Error. Invalid command"]);
    hans.asks("whoelsesince soon", &["Error. Usage: whoelsesince <seconds>"]);
    hans.asks("", &[]);
    hans.asks("message bob a\u{7}b", &["Error. The message contains control characters"]);
    let long = "x".repeat(64 * 1024);
    hans.asks(&format!("message bob {long}"), &[]);
    hans.asks(&format!("message bob {long}x"), &["Error. The message is too long, 64 KiB at most"]);
    hans.types("block nobody\nfoo\nblock hans\nblocks");
    let expected = [
        "Error. Invalid user",
        "Error. Invalid command",
        "Error. Cannot block self",
        "You have blocked no one",
    ];
    assert_eq!(hans.catches_up(), expected);
}

#[test]
fn broadcasts_reach_who_is_online() {
    let world = World::new();
    world.user("late").leaves();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    hans.asks("broadcast hello all", &[]);
    bob.sees("hans: hello all");
    let late = world.user("late");
    assert_eq!(late.catches_up(), Vec::<String>::new());
}

#[test]
fn a_block_hides_and_silences() {
    let world = World::new();
    let hans = world.user("hans");
    let bob = world.user("bob");
    hans.sees("bob logged in");
    bob.asks("block hans", &["hans is blocked"]);
    bob.asks("block hans", &["Error. You have already blocked hans"]);
    bob.asks("blocks", &["hans"]);
    hans.asks("message bob hi", &["Your message could not be delivered as the recipient has blocked you"]);
    hans.asks("broadcast hi", &["Your message could not be delivered to some recipients"]);
    hans.asks("whoelse", &["No one else is online now."]);
    hans.asks("whoelsesince 5", &["No one else is logged in since 5 seconds ago."]);
    bob.asks("whoelse", &["hans"]);
    bob.types("message hans still here");
    hans.sees("bob: still here");
    bob.leaves();
    let bob = world.user("bob");
    assert_eq!(hans.catches_up(), Vec::<String>::new(), "no coming and going");
    bob.asks("unblock hans", &["hans is unblocked"]);
    bob.asks("unblock hans", &["Error. hans was not blocked"]);
    hans.types("message bob hi");
    bob.sees("hans: hi");
}

#[test]
fn the_end_of_input_and_a_signal_log_out_when_all_is_accepted() {
    let world = World::new();
    let bob = world.user("bob");
    let mut hans = world.user("hans");
    bob.sees("hans logged in");
    for number in 1..=50 {
        hans.types(&format!("message bob {number}"));
    }
    hans.types("nonsense");
    hans.end_input();
    hans.sees("Error. Invalid command");
    hans.sees("Goodbye.");
    assert_eq!(hans.ends(), 0);
    bob.sees("hans: 50");
    bob.sees("hans logged out");

    let mut hans = world.user("hans");
    hans.types("message bob last words");
    hans.interrupt();
    hans.sees("Goodbye.");
    assert_eq!(hans.ends(), 0);
    bob.sees("hans: last words");
}

#[test]
fn a_signal_drops_nothing_that_was_typed_before_it() {
    let mut world = World::with(&["--send-rate", "off"]);
    let bob = world.user("bob");
    let mut hans = world.user("hans");
    let many: Vec<_> = (1..=2000).map(|number| format!("message bob {number}")).collect();
    hans.types(&many.join("\n"));
    hans.interrupt();
    hans.sees("Goodbye.");
    assert_eq!(hans.ends(), 0);
    bob.sees("hans: 2000");

    let mut hans = world.user("hans");
    world.crash();
    hans.sees("Lost the connection to the server, trying again");
    hans.types(&many.join("\n"));
    hans.interrupt();
    hans.sees("2000 messages wait for the server");
    hans.sees("Goodbye.");
    assert_eq!(hans.ends(), 0);
}

#[test]
fn one_can_leave_when_no_more_can_wait_for_the_server() {
    let mut world = World::new();
    let (mut hans, mut bob) = (world.user("hans"), world.user("bob"));
    world.crash();
    let too_many = vec!["message bob x"; 17_000].join("\n");
    let not_sent = "Error. Too much waits for the server already, what was typed last is not sent";
    hans.sees("Lost the connection to the server, trying again");
    hans.types(&format!("{too_many}\nlogout"));
    bob.sees("Lost the connection to the server, trying again");
    bob.types(&too_many);
    bob.interrupt();
    for leaving in [&mut hans, &mut bob] {
        leaving.sees(not_sent);
        leaving.is_asked(" messages wait for the server\nGoodbye.\n");
        assert_eq!(leaving.ends(), 1, "not all is kept");
    }
}

#[test]
fn who_does_nothing_is_logged_out() {
    let world = World::with(&["--idle-timeout", "1s"]);
    let mut hans = world.user("hans");
    hans.sees("Timeout. You are logged out due to inactivity");
    assert_eq!(hans.ends(), 0);
}

#[test]
fn a_password_can_be_changed() {
    let world = World::new();
    let hans = world.user("hans");
    let change = |old: &str, new: &str, again: &str| {
        hans.types("passwd");
        hans.is_asked("Old password: ");
        hans.types(old);
        hans.is_asked("New password: ");
        hans.types(new);
        hans.is_asked("Repeat the new password: ");
        hans.types(again);
    };
    change("hans-secret", "new", "now");
    hans.sees("Error. The passwords differ");
    change("wrong", "new", "new");
    hans.is_asked("\nError. ");
    change("hans-secret", "new", "new");
    hans.sees("Password changed");
    hans.leaves();
    let hans = world.chat("elsewhere");
    hans.logs_in("hans", "new");
    hans.sees(WELCOME);
}

#[test]
fn a_restart_of_the_server_is_told_and_survived() {
    let mut world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    world.stop();
    hans.sees("Lost the connection to the server, trying again");
    hans.types("message bob meanwhile");
    world.start();
    hans.sees("Connected again");
    bob.sees("Connected again");
    bob.sees("hans: meanwhile");
}

#[test]
fn what_cannot_be_sent_goes_out_with_the_next_login() {
    let mut world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    world.crash();
    let mut hans = hans;
    hans.sees("Lost the connection to the server, trying again");
    hans.types("message bob kept");
    hans.types("logout");
    hans.sees("1 messages wait for the server");
    hans.sees("Goodbye.");
    assert_eq!(hans.ends(), 0);
    world.start();
    let _hans = world.user("hans");
    bob.sees("hans: kept");
}

#[test]
fn no_server_is_an_error() {
    let mut world = World::new();
    world.stop();
    let mut chat = world.chat("anyone");
    chat.sees(&format!("Error. No server at {}", world.address()));
    assert_eq!(chat.ends(), 1);
}
