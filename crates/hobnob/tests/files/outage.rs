//! Downloads while the server, a source or the downloader itself is gone.

use crate::{
    content, downloaded, downloads, fetch, freeze, has_begun, id, is_there, person, share, support::World,
    thaw, wait_for,
};

const LOST: &str = "Lost the connection to the server, trying again";
const LARGE: usize = 256 << 20;

#[test]
fn a_download_that_has_begun_does_not_need_the_server() {
    let mut world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    let bytes = content(LARGE, 1);
    share(&world, "hans", &hans, "a", &bytes);
    bob.types("download a");
    wait_for("the first of it", || has_begun(&world, "bob"));
    freeze(&hans);
    world.crash();
    thaw(&hans);
    bob.sees(LOST);
    bob.asks("files", &["Error. The server could not be asked. Please try again later"]);
    bob.asks("download b", &["Error. The server could not be asked. Please try again later"]);
    downloaded(&bob, "a");
    is_there(&downloads(&world, "bob").join("a"), &bytes);
    world.start();
    hans.sees(LOST);
    for chat in [&hans, &bob] {
        chat.sees("Connected again");
    }
    // The server has forgotten everything, and is told again.
    let eva = person(&world, "eva");
    wait_for("both sources", || {
        eva.types("files");
        eva.catches_up().iter().any(|line| line.contains("2 sources"))
    });
    fetch(&world, "eva", &eva, "a", "a", &bytes);
}

#[test]
fn who_stops_a_download_goes_on_where_it_stopped() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    let bytes = content(LARGE, 2);
    share(&world, "hans", &hans, "a", &bytes);
    bob.types("download a");
    wait_for("the first of it", || has_begun(&world, "bob"));
    freeze(&hans);
    bob.types("downloads");
    assert!(bob.finds("a: ").contains(" of 256.0 MiB"));
    bob.types("download a");
    bob.sees("a is being downloaded already");
    bob.types(&format!("cancel {}", id(&bytes)));
    bob.sees("Cancelled a, what came is kept");
    bob.types("downloads");
    bob.sees("Nothing is being downloaded");
    thaw(&hans);
    fetch(&world, "bob", &bob, "a", "a", &bytes);
}

#[test]
fn who_is_killed_goes_on_where_it_stopped() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    let bytes = content(LARGE, 3);
    share(&world, "hans", &hans, "a", &bytes);
    bob.types("download a");
    wait_for("the first of it", || has_begun(&world, "bob"));
    bob.crash();
    let bob = person(&world, "bob");
    fetch(&world, "bob", &bob, "a", "a", &bytes);
    let found = std::fs::read_dir(downloads(&world, "bob")).expect("a folder").count();
    assert_eq!(found, 1, "nothing but the file is left");
}

#[test]
fn another_source_finishes_what_one_began() {
    let world = World::new();
    let (hans, bob, eva) = (person(&world, "hans"), person(&world, "bob"), person(&world, "eva"));
    let bytes = content(LARGE, 4);
    share(&world, "hans", &hans, "a", &bytes);
    share(&world, "eva", &eva, "a", &bytes);
    bob.types("download a");
    wait_for("the first of it", || has_begun(&world, "bob"));
    hans.crash();
    downloaded(&bob, "a");
    is_there(&downloads(&world, "bob").join("a"), &bytes);
}
