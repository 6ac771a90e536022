//! Several who write at once, honest or not.

use super::*;

#[test]
fn a_wrong_chunk_is_not_there() {
    let setup = Setup::new(3 * MIN);
    let partial = setup.open();
    partial.give(setup.given());
    setup.write(&partial, 2).unwrap();
    let mut wrong = setup.bytes(0).to_vec();
    wrong[77] ^= 1;
    let write = |bytes: &[u8]| feed(partial.writer(0).unwrap(), bytes);
    assert!(matches!(write(&wrong), Err(WriteError::Fault(Fault::Wrong(Blame::Sender)))));
    assert!(matches!(write(&wrong[1..]), Err(WriteError::Fault(Fault::Short))));
    wrong.push(0);
    assert!(matches!(write(&wrong), Err(WriteError::Fault(Fault::TooLong))));
    assert_eq!(partial.verified(), set(3, &[2]));
    setup.check(&partial);
    setup.complete(&partial);
}

#[test]
fn a_false_manifest_is_given_up() {
    // Inner values of a larger file, given for a smaller one, merge to its id.
    let large = Setup::new(4 * MIN);
    let id = large.manifest.id();
    let values = large.manifest.encode().as_chunks::<32>().0;
    let inner: Vec<_> = values
        .chunks(2)
        .map(|pair| blake3::hazmat::merge_subtrees_non_root(&pair[0], &pair[1], blake3::hazmat::Mode::Hash))
        .collect();
    let shape = Shape::of(2 * MIN as u64).unwrap();
    let lie = Manifest::decode(id, shape, inner.as_flattened()).unwrap();
    let (folder, journals) = (large.folder(), large.journals());
    let target = Target { id, shape, name: "f", folder: &folder, journals: &journals };
    let Opened::Going(partial) = Partial::open(&target).unwrap() else { panic!("complete") };
    assert!(!partial.give(large.given()));
    assert!(partial.give(lie));
    let written = feed(partial.writer(1).unwrap(), large.bytes(1));
    assert!(matches!(written, Err(WriteError::Fault(Fault::Wrong(Blame::Giver)))));
    assert_eq!(partial.manifest(), None);
    // The true size is another download.
    large.complete(&large.open());
}

#[test]
fn a_liar_does_not_harm_a_manifest_that_is_true() {
    let setup = Setup::new(3 * MIN);
    let partial = setup.open();
    partial.give(setup.given());
    let mut honest = partial.writer(2).unwrap();
    let liar = partial.writer(2).unwrap();
    honest.write(&setup.bytes(2)[..MIN / 2]).unwrap();
    let lied = feed(liar, &vec![0; MIN]);
    assert!(matches!(lied, Err(WriteError::Fault(Fault::Wrong(Blame::Giver)))));
    assert_eq!(partial.manifest(), None);
    honest.write(&setup.bytes(2)[MIN / 2..]).unwrap();
    honest.finish().unwrap();
    assert_eq!(partial.manifest().as_ref(), Some(&setup.manifest));
    // Nothing takes a proven one away.
    assert!(partial.give(setup.given()));
    assert_eq!(partial.manifest().unwrap().trust(), Trust::Proven);
    setup.complete(&partial);
}

#[test]
fn the_first_to_finish_a_chunk_has_it() {
    let setup = Setup::new(3 * MIN);
    let partial = setup.open();
    partial.give(setup.given());
    setup.write(&partial, 2).unwrap();
    let (begin, end) = setup.bytes(0).split_at(MIN / 2);
    // The second overtakes the first, whatever that wrote or writes.
    for lies in [false, true] {
        let chunk = u32::from(lies);
        let (begin, end) = if lies { setup.bytes(1).split_at(MIN / 2) } else { (begin, end) };
        let (mut slow, mut fast) = (partial.writer(chunk).unwrap(), partial.writer(chunk).unwrap());
        let mut slower = partial.writer(chunk).unwrap();
        fast.write(begin).unwrap();
        slow.write(if lies { end } else { begin }).unwrap();
        slower.write(begin).unwrap();
        slower.write(end).unwrap();
        fast.write(end).unwrap();
        fast.finish().unwrap();
        assert!(matches!(slow.write(begin), Err(WriteError::Beaten)));
        assert!(matches!(slower.finish(), Err(WriteError::Beaten)));
        assert!(matches!(partial.writer(chunk), Err(WriteError::There)));
        setup.check(&partial);
    }
    assert_eq!(partial.path().metadata().unwrap().len(), 3 * MIN as u64);
    assert!(partial.state().claims.is_empty());
    setup.complete(&partial);
}

#[test]
fn the_first_in_place_beats_the_spare() {
    let setup = Setup::new(MIN);
    let partial = setup.open();
    let (own, mut spare) = (partial.writer(0).unwrap(), partial.writer(0).unwrap());
    spare.write(&setup.bytes(0)[..100]).unwrap();
    feed(own, setup.bytes(0)).unwrap();
    assert!(matches!(spare.write(&setup.bytes(0)[100..]), Err(WriteError::Beaten)));
    // A spare writer that is still about writes nothing behind the end of the finished file.
    let finished = partial.finish().unwrap();
    drop(spare);
    assert_eq!(std::fs::read(finished.path).unwrap(), setup.content);
}

#[test]
fn spare_places_are_few_and_come_back() {
    let setup = Setup::new(MIN);
    let partial = setup.open();
    let own = partial.writer(0).unwrap();
    let spares: Vec<_> = std::iter::from_fn(|| partial.writer(0).ok()).take(100).collect();
    assert_eq!(spares.len(), 8);
    assert!(matches!(partial.writer(0), Err(WriteError::Crowded)));
    drop(own);
    // The place itself is free again.
    feed(partial.writer(0).unwrap(), setup.bytes(0)).unwrap();
    drop(spares);
    setup.complete(&partial);
}

#[test]
fn many_write_at_once() {
    let setup = Setup::new(12 * MIN + 5);
    let partial = setup.open();
    partial.give(setup.given());
    setup.write(&partial, 12).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..6_u32 {
            let (setup, partial) = (&setup, &partial);
            scope.spawn(move || {
                let lies = thread % 3 == 2;
                for step in 0..12 {
                    let chunk = (step * 5 + thread / 2) % 12;
                    let mut bytes = setup.bytes(chunk).to_vec();
                    if lies {
                        bytes.fill(thread as u8);
                    }
                    let written = partial.writer(chunk).and_then(|writer| feed(writer, &bytes));
                    assert!(
                        matches!(
                            (written, lies),
                            (Ok(_), false)
                                | (Err(WriteError::Fault(_)), true)
                                | (Err(WriteError::There | WriteError::Beaten), _)
                        ),
                        "{chunk}"
                    );
                    setup.check(partial);
                    if step % 4 == 0 {
                        partial.commit().unwrap();
                    }
                }
            });
        }
    });
    assert!(partial.state().claims.is_empty());
    setup.complete(&partial);
}
