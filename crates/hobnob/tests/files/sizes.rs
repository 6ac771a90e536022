//! Files of no and of little size, and at the borders of chunks.

use crate::{CHUNK, content, fetch, id, person, share, support::World};

#[test]
fn every_size_comes_whole() {
    let world = World::new();
    let (hans, bob) = (person(&world, "hans"), person(&world, "bob"));
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK] {
        let (name, bytes) = (format!("{size}.bin"), content(size, size as u64));
        assert_eq!(share(&world, "hans", &hans, &name, &bytes), id(&bytes));
        fetch(&world, "bob", &bob, &name, &name, &bytes);
    }
    bob.types("searchFile 0.bin");
    bob.sees("Available");
    bob.sees("hans");
    let everything = hans.everything();
    assert!(everything.contains("Sharing 0.bin: 0 bytes, 0 chunks, af1349b9f5f9\n"), "{everything}");
    assert!(everything.contains("Sharing 1.bin: 1 byte, 1 chunks, "), "{everything}");
}
