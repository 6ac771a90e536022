use proptest::prelude::*;

use super::*;

const MIN: usize = 256 * 1024;

/// A content in which no two chunks are the same.
pub(crate) fn content(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    Hasher::new().update(&(size as u64).to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn shape(size: usize) -> Shape {
    Shape::of(size as u64).unwrap()
}

fn hashed(content: &[u8], block: usize) -> Manifest {
    let mut hash = ContentHash::new(shape(content.len()));
    content.chunks(block).for_each(|block| hash.feed(block));
    hash.finish().unwrap()
}

fn bytes_of(content: &[u8], chunk: u32) -> &[u8] {
    let range = shape(content.len()).range(chunk).unwrap();
    &content[range.start as usize..range.end as usize]
}

fn verify(manifest: &Manifest, chunk: u32, bytes: &[u8], block: usize) -> Result<Verified, Fault> {
    let mut verifier = manifest.verifier(chunk).unwrap();
    bytes.chunks(block).try_for_each(|block| verifier.feed(block))?;
    verifier.finish()
}

/// Everything that must hold of a content, whatever its size.
fn check(size: usize, block: usize) {
    let content = content(size);
    let made = hashed(&content, block);
    let id = ContentId::of(&content);
    assert_eq!(made.id(), id, "{size}");
    assert_eq!(made.encode().len(), Manifest::encoded_bytes(shape(size)));

    let mut read = Manifest::decode(id, shape(size), made.encode()).unwrap();
    let chunks = shape(size).chunks();
    let Some(last) = chunks.checked_sub(1) else {
        assert_eq!(read, made);
        return;
    };
    assert_eq!(read.trust(), Trust::Provisional);
    for chunk in 0..last {
        assert_eq!(read.verifier(chunk).err(), Some(NotNow::LastFirst));
    }
    let blame = if chunks > 1 { Blame::Giver } else { Blame::Sender };
    let mut wrong = bytes_of(&content, last).to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    assert_eq!(verify(&read, last, &wrong, block), Err(Fault::Wrong(blame)));
    read.note(verify(&read, last, bytes_of(&content, last), block).unwrap());
    assert_eq!(read, made);
    for chunk in 0..chunks {
        let bytes = bytes_of(&content, chunk);
        assert_eq!(verify(&read, chunk, bytes, block).unwrap().chunk(), chunk);
        let mut wrong = bytes.to_vec();
        wrong[bytes.len() / 2] ^= 0x80;
        assert_eq!(verify(&read, chunk, &wrong, block), Err(Fault::Wrong(Blame::Sender)));
        assert_eq!(verify(&read, chunk, &bytes[1..], block), Err(Fault::Short));
        let long = [bytes, &[0]].concat();
        assert_eq!(verify(&read, chunk, &long, block), Err(Fault::TooLong));
        assert_eq!(verify(&read, chunk, &long, long.len()), Err(Fault::TooLong));
    }
    assert_eq!(read.verifier(chunks).err(), Some(NotNow::NoSuchChunk));
}

#[test]
fn sizes_around_every_border() {
    let borders =
        [0, 64, 1024, 2048, 4096, 65_536, MIN - 1024, MIN, MIN + 1024, 2 * MIN, 3 * MIN, 5 * MIN, 8 * MIN];
    for border in borders {
        for size in border.max(2) - 2..=border + 2 {
            check(size, 64 * 1024);
        }
    }
    for power in 0..21 {
        check(1 << power, 16 * 1024);
    }
    check(17 * MIN + 3, 1 << 20);
}

#[test]
fn small_and_uneven_blocks() {
    for (size, block) in
        [(1, 1), (3000, 1), (MIN + 1, 1), (MIN + 1025, 63), (2 * MIN + 77, 1025), (3 * MIN, 4 * MIN)]
    {
        check(size, block);
    }
}

#[test]
fn a_manifest_of_the_wrong_length_is_refused() {
    let content = content(3 * MIN + 5);
    let (id, encoded) = (ContentId::of(&content), hashed(&content, MIN).encode().to_vec());
    let decode = |size: usize, bytes: &[u8]| Manifest::decode(id, shape(size), bytes).map(|_| ());
    assert_eq!(decode(3 * MIN + 5, &encoded), Ok(()));
    for bytes in [&[][..], &encoded[1..], &encoded[32..], &encoded[..96], &[&encoded[..], &[0; 32]].concat()]
    {
        assert_eq!(decode(3 * MIN + 5, bytes), Err(ManifestError::Length));
    }
    for size in [0, 1, MIN, 3 * MIN, 4 * MIN + 1] {
        assert_eq!(decode(size, &encoded), Err(ManifestError::Length), "{size}");
    }
}

#[test]
fn a_manifest_with_wrong_values_is_refused() {
    let content = content(5 * MIN);
    let (id, encoded) = (ContentId::of(&content), hashed(&content, MIN).encode().to_vec());
    for at in (0..encoded.len()).step_by(7) {
        let mut wrong = encoded.clone();
        wrong[at] ^= 4;
        assert_eq!(Manifest::decode(id, shape(5 * MIN), &wrong), Err(ManifestError::OtherFile));
    }
    for (one, other) in [(0, 1), (1, 2), (0, 4), (2, 3)] {
        let mut swapped = encoded.as_chunks::<32>().0.to_vec();
        swapped.swap(one, other);
        let swapped = swapped.as_flattened();
        assert_eq!(Manifest::decode(id, shape(5 * MIN), swapped), Err(ManifestError::OtherFile));
    }
    assert_eq!(Manifest::decode(id, shape(0), &[]), Err(ManifestError::OtherFile));
    assert_eq!(Manifest::decode(ContentId::of(b""), shape(0), &[]).unwrap().trust(), Trust::Proven);
}

/// Inner nodes, given as the chunks of a smaller file, merge to the true id; the last chunk shows the lie.
#[test]
fn a_false_size_that_merges_to_the_id_is_not_believed() {
    let content = content(8 * MIN);
    let id = ContentId::of(&content);
    let true_values = hashed(&content, MIN).encode().as_chunks::<32>().0.to_vec();
    let inner: Vec<Value> =
        true_values.chunks(2).map(|pair| merge_subtrees_non_root(&pair[0], &pair[1], Mode::Hash)).collect();
    for size in [3 * MIN + 1, 4 * MIN - 1, 4 * MIN] {
        let lie = Manifest::decode(id, shape(size), inner.as_flattened()).unwrap();
        assert_eq!(lie.trust(), Trust::Provisional);
        let bytes = &content[3 * MIN..size];
        assert_eq!(verify(&lie, 3, bytes, MIN), Err(Fault::Wrong(Blame::Giver)), "{size}");
        assert_eq!(lie.verifier(0).err(), Some(NotNow::LastFirst));
    }
    // The true values with another length of the last chunk.
    for size in [7 * MIN + 1, 8 * MIN - 1024, 8 * MIN - 1] {
        let lie = Manifest::decode(id, shape(size), true_values.as_flattened()).unwrap();
        assert_eq!(verify(&lie, 7, &content[7 * MIN..size], MIN), Err(Fault::Wrong(Blame::Giver)), "{size}");
    }
}

#[test]
fn only_its_own_last_chunk_proves_a_manifest() {
    let (mine, other) = (content(2 * MIN), content(2 * MIN - 1));
    let made = hashed(&mine, MIN);
    let other_made = hashed(&other, MIN);
    let mut read = Manifest::decode(made.id(), made.shape(), made.encode()).unwrap();
    read.note(verify(&made, 0, bytes_of(&mine, 0), MIN).unwrap());
    read.note(verify(&other_made, 1, bytes_of(&other, 1), MIN).unwrap());
    assert_eq!(read.trust(), Trust::Provisional);
    read.note(verify(&made, 1, bytes_of(&mine, 1), MIN).unwrap());
    assert_eq!(read.trust(), Trust::Proven);
}

#[test]
fn a_chunk_in_the_place_of_another_is_wrong() {
    let content = content(4 * MIN);
    let made = hashed(&content, MIN);
    for (chunk, other) in [(0, 1), (1, 0), (2, 3), (3, 1)] {
        assert_eq!(verify(&made, chunk, bytes_of(&content, other), MIN), Err(Fault::Wrong(Blame::Sender)));
    }
    // Even where the bytes are the same, the place is part of the hash.
    let zeros = hashed(&vec![0; 3 * MIN], MIN);
    let values = zeros.encode().as_chunks::<32>().0;
    assert!(values[0] != values[1] && values[1] != values[2]);
}

#[test]
fn a_content_that_ends_early_has_no_manifest() {
    for (size, fed) in [(1, 0), (MIN, MIN - 1), (2 * MIN, MIN), (2 * MIN, 2 * MIN - 1)] {
        let mut hash = ContentHash::new(shape(size));
        hash.feed(&content(fed));
        assert!(hash.finish().is_none(), "{size} {fed}");
    }
    // What is beyond the size does not count.
    let mut hash = ContentHash::new(shape(MIN + 1));
    let long = content(2 * MIN);
    hash.feed(&long);
    hash.feed(b"more");
    assert_eq!(hash.finish().unwrap().id(), ContentId::of(&long[..MIN + 1]));
}

/// Files above four gibibytes have larger chunks; values alone show that the merging is right.
#[test]
fn larger_chunks_merge_as_blake3_does() {
    let size = (4_u64 << 30) + 1;
    let shape = Shape::of(size).unwrap();
    let block = vec![0; 1 << 20];
    let mut values = Vec::new();
    // A tree of a few chunks in the middle, of 512 KiB each.
    for chunk in [512, 513, 514, 515] {
        let range = shape.range(chunk).unwrap();
        let mut hash = ChunkHash::new(range.start, range.end - range.start);
        hash.feed(&block[..512 * 1024]);
        values.push(hash.value());
    }
    let mut whole = Hasher::new();
    whole.set_input_offset(512 * 512 * 1024).update(&block).update(&block);
    let pair = |at: usize| merge_subtrees_non_root(&values[at], &values[at + 1], Mode::Hash);
    assert_eq!(merge_subtrees_non_root(&pair(0), &pair(2), Mode::Hash), whole.finalize_non_root());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_size_and_block(size in 0..=6 * MIN, block in 512..=2 * MIN) {
        check(size, block);
    }
}
