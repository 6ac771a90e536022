//! How talks end when somebody leaves.

use crate::{connect, pair, support::World};

#[test]
fn who_logs_out_is_said_to_have() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    bob.leaves();
    hans.sees_all(&["Private messaging with bob ended: bob logged out", "bob logged out"]);
    hans.asks("private bob hi", &["Error. Private messaging to bob not enabled"]);

    let bob = world.user("bob");
    hans.sees("bob logged in");
    connect(("hans", &hans), ("bob", &bob));
    hans.leaves();
    bob.sees_all(&["Private messaging with hans ended: hans logged out", "hans logged out"]);
    let hans = world.user("hans");
    bob.sees("hans logged in");
    connect(("bob", &bob), ("hans", &hans));
}

#[test]
fn who_blocks_somebody_leaves_without_a_word() {
    let world = World::new();
    let (hans, bob) = pair(&world);
    bob.asks("block hans", &["hans is blocked"]);
    hans.types("private bob still here");
    bob.sees("hans(private): still here");
    bob.leaves();
    hans.sees("Private messaging with bob ended");
    assert_eq!(hans.catches_up(), Vec::<String>::new());
    assert!(!hans.everything().contains("logged out"));

    // Blocked before the talk began: only Bob can ask.
    let bob = world.user("bob");
    connect(("bob", &bob), ("hans", &hans));
    bob.leaves();
    hans.sees("Private messaging with bob ended");
    assert_eq!(hans.catches_up(), Vec::<String>::new());
}

#[test]
fn what_was_typed_arrives_before_the_end() {
    let world = World::new();
    for how in ["logout", "end", "signal"] {
        let (mut hans, bob) = pair(&world);
        let many: Vec<_> = (1..=600).map(|number| format!("private bob {number}")).collect();
        hans.types(&many.join("\n"));
        match how {
            "logout" => hans.types("logout"),
            "end" => hans.end_input(),
            _ => hans.interrupt(),
        }
        for number in 1..=600 {
            bob.sees(&format!("hans(private): {number}"));
        }
        bob.sees("Private messaging with hans ended: hans logged out");
        hans.sees("Goodbye.");
        assert_eq!(hans.ends(), 0, "{how}");
        assert!(!hans.everything().contains("Error"), "{how}");
        bob.leaves();
    }
}

#[test]
fn private_talk_is_activity_and_hearing_it_is_not() {
    let world = World::with(&["--idle-timeout", "2s"]);
    let (hans, mut bob) = pair(&world);
    let timeout = "Timeout. You are logged out due to inactivity";
    for number in 0.. {
        hans.types(&format!("private bob {number}"));
        bob.sees_one_of(&[&format!("hans(private): {number}"), timeout]);
        if bob.everything().contains(timeout) {
            break;
        }
    }
    assert_eq!(bob.ends(), 0);
    hans.sees_all(&["Private messaging with bob ended: bob logged out", "bob logged out"]);
    hans.types("whoelse");
    hans.sees("No one else is online now.");
    assert!(!hans.everything().contains("Timeout"));
}

#[test]
fn leaving_with_requests_standing_takes_no_time() {
    let world = World::new();
    let (hans, bob, eva) = (world.user("hans"), world.user("bob"), world.user("eva"));
    bob.sees("eva logged in");
    hans.types("startprivate bob");
    bob.is_asked(&crate::question("hans"));
    eva.types("startprivate hans");
    hans.is_asked(&crate::question("eva"));
    hans.leaves();
    bob.sees("The request of hans has expired");
    eva.sees("hans did not answer");
}
