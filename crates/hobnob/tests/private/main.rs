//! Private talk as people see it: real servers and chats, every step and every error by its exact text.

#[path = "../support/mod.rs"]
mod support;

mod blocks;
mod consent;
mod leaving;
mod outage;
mod relay;
mod talk;

use support::{Chat, World};

/// The question of somebody who asks.
fn question(user: &str) -> String {
    format!("\n{user} would like to private message, enter y or n: ")
}

/// Two who have just begun to talk: the first has asked.
fn connect((one, asking): (&str, &Chat), (other, asked): (&str, &Chat)) {
    asking.types(&format!("startprivate {other}"));
    asking.sees(&format!("Start private messaging with {other}"));
    asked.is_asked(&question(one));
    asked.types("y");
    asking.sees(&format!("{other} accepts private messaging"));
    asked.sees(&format!("Start private messaging with {one}"));
}

/// Hans and Bob, who talk privately; Hans has asked.
fn pair(world: &World) -> (Chat, Chat) {
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    connect(("hans", &hans), ("bob", &bob));
    (hans, bob)
}

/// A message each way.
fn both_hear_each_other((one, first): (&str, &Chat), (other, second): (&str, &Chat), text: &str) {
    first.types(&format!("private {other} {text}"));
    second.sees(&format!("{one}(private): {text}"));
    second.types(&format!("private {one} {text} too"));
    first.sees(&format!("{other}(private): {text} too"));
}
