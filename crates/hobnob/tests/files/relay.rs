//! Files over the server's relay, where no address is shown.

use crate::{CHUNK, content, downloaded, downloads, is_there, person, person_with, share, support::World};

#[test]
fn who_shows_no_address_gives_and_takes_over_the_relay() {
    let world = World::new();
    let hans = person_with(&world, "hans", &["--relay-only"]);
    let (bob, eva) = (person_with(&world, "bob", &["--relay-only"]), person(&world, "eva"));
    let bytes = content(4 * CHUNK, 1);
    share(&world, "hans", &hans, "a", &bytes);
    for (name, chat) in [("bob", &bob), ("eva", &eva)] {
        chat.types("download a");
        downloaded(chat, "a");
        is_there(&downloads(&world, name).join("a"), &bytes);
    }
}

#[test]
fn a_download_over_the_relay_goes_on_when_it_is_back() {
    // So slow that the server is gone long before the end.
    let mut world = World::with(&["--relay-rate", "1M/s"]);
    let hans = person_with(&world, "hans", &["--relay-only"]);
    let bob = person(&world, "bob");
    let bytes = content(8 << 20, 1);
    share(&world, "hans", &hans, "a", &bytes);
    bob.types("download a");
    let line = bob.finds("a: ");
    assert!(line.ends_with(", 1 source, relayed"), "{line}");
    world.crash();
    for chat in [&hans, &bob] {
        chat.sees("Lost the connection to the server, trying again");
    }
    world.start();
    downloaded(&bob, "a");
    is_there(&downloads(&world, "bob").join("a"), &bytes);
}
