//! `searchFile` and `searchChunk`.

use crate::{CHUNK, content, fetch, person, share, support::World};

#[test]
fn holders_are_found_by_name_and_chunk() {
    let world = World::new();
    let (hans, bob, eva) = (person(&world, "hans"), person(&world, "bob"), person(&world, "eva"));
    let bytes = content(2 * CHUNK, 1);
    share(&world, "hans", &hans, "part 7", &bytes);
    eva.asks("searchFile part 7", &["Available", "hans"]);
    eva.asks("searchFile part", &["Not available"]);
    eva.asks("searchFile PART 7", &["Not available"]);
    // All numbers at the end are chunks.
    eva.asks("searchChunk part 7", &["Not available"]);
    fetch(&world, "bob", &bob, "part 7", "part 7", &bytes);
    eva.asks("searchFile part 7", &["Available", "bob", "hans"]);
    bob.asks("searchFile part 7", &["Available", "hans"]);

    share(&world, "hans", &hans, "plain", &content(2 * CHUNK + 1, 2));
    for chunks in ["0", "1", "2", "9 2", "007 0"] {
        eva.asks(&format!("searchChunk plain {chunks}"), &["Available", "hans"]);
    }
    for chunks in ["3", "99999999999999999999", "3 4 5"] {
        eva.asks(&format!("searchChunk plain {chunks}"), &["Not available"]);
    }
    hans.asks("searchChunk plain 0", &["Not available"]);
    hans.leaves();
    eva.sees("hans logged out");
    eva.asks("searchChunk plain 0", &["Not available"]);
    eva.asks("searchFile part 7", &["Available", "bob"]);
}
