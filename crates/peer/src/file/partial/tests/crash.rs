//! Whatever happens and whenever: what the journal says is there, and the download can be completed.

use super::fake::{Fake, Loss};
use super::*;

/// What was said of the chunks of a download.
struct Promised {
    /// Verified, before the crash began.
    verified: ChunkSet,
    durable: ChunkSet,
}

/// Downloads on a disk that may crash.
fn try_all(setup: &Setup, disk: &Arc<Fake>) -> Promised {
    let none = ChunkSet::none(setup.manifest.shape().chunks());
    let mut promised = Promised { verified: none.clone(), durable: none };
    let attempt = |promised: &mut Promised| -> Result<(), WriteError> {
        let Opened::Going(partial) = setup.open_on(Arc::clone(disk) as Arc<dyn Disk>)? else {
            panic!("complete")
        };
        partial.give(setup.given());
        for chunks in [&[4][..], &[0, 3], &[1]] {
            for chunk in chunks {
                setup.write(&partial, *chunk)?;
                if !disk.has_crashed() {
                    promised.verified = partial.verified();
                }
            }
            partial.commit()?;
            promised.durable = partial.durable();
        }
        setup.write(&partial, 2)?;
        partial.finish()?;
        promised.durable = partial.durable();
        Ok(())
    };
    assert_eq!(attempt(&mut promised).is_err(), disk.has_crashed());
    promised
}

/// `None`: the process is killed, and all that was written is there.
fn crash_at_every_step(loss: Option<Loss>) {
    let mut steps_before_end = 0;
    for steps in 1.. {
        let setup = Setup::new(4 * MIN + 1000);
        let disk = Fake::crashing_after(steps);
        let promised = try_all(&setup, &disk);
        let crashed = disk.has_crashed();
        let expected = match loss {
            None => promised.verified,
            Some(loss) => {
                disk.lose_power(loss);
                promised.durable
            }
        };
        drop(disk);
        if !crashed {
            break;
        }
        steps_before_end = steps;
        match setup.open_on(Arc::new(System)).unwrap() {
            Opened::Complete(path) => assert_eq!(std::fs::read(path).unwrap(), setup.content),
            Opened::Going(partial) => {
                assert!(expected.difference(&partial.verified()).is_empty(), "step {steps}");
                setup.check(&partial);
                setup.complete(&partial);
            }
        }
        assert_eq!(setup.names(), ["_._f.bin"], "step {steps}");
        assert!(!setup.has_journals());
    }
    // Opening, four chunks of three writes and a short one, each noted, four commits, the end.
    assert!(steps_before_end > 40, "{steps_before_end}");
}

#[test]
fn killed_at_every_step() {
    crash_at_every_step(None);
}

#[test]
fn without_power_at_every_step() {
    crash_at_every_step(Some(Loss::All));
    (1..=2).for_each(|seed| crash_at_every_step(Some(Loss::Some(seed))));
}

/// A crash between one commit and the next, and what is there afterwards.
fn after_a_crash(crash: impl FnOnce(&Setup, &Fake)) -> (Setup, Arc<Partial>) {
    let setup = Setup::new(6 * MIN + 1000);
    let disk = Arc::new(Fake::default());
    let Opened::Going(partial) = setup.open_on(Arc::clone(&disk) as Arc<dyn Disk>).unwrap() else {
        panic!("complete")
    };
    partial.give(setup.given());
    for chunk in [6, 0] {
        setup.write(&partial, chunk).unwrap();
    }
    partial.commit().unwrap();
    for chunk in [1, 2, 4, 5] {
        setup.write(&partial, chunk).unwrap();
    }
    // One is under way.
    partial.writer(3).unwrap().write(&setup.bytes(3)[..1000]).unwrap();
    assert_eq!((partial.verified(), partial.durable()), (set(7, &[0, 1, 2, 4, 5, 6]), set(7, &[0, 6])));
    drop(partial);
    crash(&setup, &disk);
    disk.let_go();
    let partial = setup.open();
    setup.check(&partial);
    (setup, partial)
}

#[test]
fn a_kill_takes_away_nothing_that_was_verified() {
    let (setup, partial) = after_a_crash(|_, _| {});
    let all = set(7, &[0, 1, 2, 4, 5, 6]);
    assert_eq!((partial.verified(), partial.durable()), (all.clone(), set(7, &[0, 6])));
    // And again, before anything was made durable.
    drop(partial);
    let partial = setup.open();
    assert_eq!(partial.verified(), all);
    assert_eq!(partial.commit().unwrap(), 4);
    drop(partial);
    let partial = setup.open();
    assert_eq!(partial.durable(), all);
    setup.complete(&partial);
}

#[test]
fn a_power_failure_makes_nothing_believed_that_is_not_there() {
    let (setup, partial) = after_a_crash(|_, disk| disk.lose_power(Loss::All));
    assert_eq!((partial.verified(), partial.durable()), (set(7, &[0, 6]), set(7, &[0, 6])));
    setup.complete(&partial);
    // The journal came to the disk, and of the data one chunk did not and another was torn.
    let (setup, partial) = after_a_crash(|setup, _| {
        let part = File::options().write(true).open(setup.folder().join("_._f.bin.part")).unwrap();
        part.write_all_at(&vec![0; MIN], 2 * MIN as u64).unwrap();
        part.write_all_at(&vec![0; MIN / 2], (4 * MIN + MIN / 2) as u64).unwrap();
    });
    assert_eq!((partial.verified(), partial.durable()), (set(7, &[0, 1, 5, 6]), set(7, &[0, 6])));
    setup.complete(&partial);
    for seed in 0..20 {
        let (setup, partial) = after_a_crash(|_, disk| disk.lose_power(Loss::Some(seed)));
        assert!(set(7, &[0, 6]).difference(&partial.verified()).is_empty());
        setup.complete(&partial);
    }
}

/// A file of one chunk has no manifest, and needs none to be looked at.
#[test]
fn a_single_chunk_survives_a_kill() {
    let setup = Setup::new(1000);
    let partial = setup.open();
    setup.write(&partial, 0).unwrap();
    drop(partial);
    let partial = setup.open();
    assert!(partial.verified().is_full() && partial.durable().is_empty());
    setup.complete(&partial);
}

/// While the disk takes its time to sync, who brings a chunk does not wait, and what came is noted.
#[test]
fn chunks_that_come_while_others_are_synced_are_noted() {
    let setup = Setup::new(4 * MIN);
    let disk = Arc::new(Fake::default());
    let Opened::Going(partial) = setup.open_on(Arc::clone(&disk) as Arc<dyn Disk>).unwrap() else {
        panic!("complete")
    };
    partial.give(setup.given());
    setup.write(&partial, 3).unwrap();
    let (syncing, go_on) = disk.stop_in_next_sync();
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| partial.commit());
        syncing.recv().unwrap();
        setup.write(&partial, 0).unwrap();
        let kept = std::fs::read(setup.journal()).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(commit.join().unwrap().unwrap(), 1);
        // As if it had been killed in the middle of the sync, and as it is after that.
        assert_eq!(partial.durable(), set(4, &[3]));
        let after = std::fs::read(setup.journal()).unwrap();
        disk.let_go();
        for journal in [kept, after] {
            std::fs::write(setup.journal(), journal).unwrap();
            let found = journal::read(&setup.journal()).unwrap().unwrap();
            assert_eq!(found.durable.union(&found.written), set(4, &[0, 3]));
        }
    });
}

#[test]
fn a_name_that_is_taken_at_the_last_moment_is_not_overwritten() {
    let setup = Setup::new(1000);
    let disk = Arc::new(Fake::default());
    let Opened::Going(partial) = setup.open_on(Arc::clone(&disk) as Arc<dyn Disk>).unwrap() else {
        panic!("complete")
    };
    disk.rob_next_name();
    let path = setup.complete(&partial);
    assert_eq!(path.file_name().unwrap(), "_._f (1).bin");
    assert_eq!(std::fs::read(setup.folder().join("_._f.bin")).unwrap(), b"another's");
}

#[test]
fn a_journal_that_is_cut_anywhere() {
    let setup = Setup::new(3 * MIN + 1);
    let partial = setup.open();
    partial.give(setup.given());
    let mut lens = Vec::new();
    for chunk in [3, 0, 1] {
        setup.write(&partial, chunk).unwrap();
        partial.commit().unwrap();
        lens.push(setup.journal().metadata().unwrap().len() as usize);
    }
    let part = partial.path();
    drop(partial);
    let journal = std::fs::read(setup.journal()).unwrap();
    let durable = [set(4, &[]), set(4, &[3]), set(4, &[0, 3]), set(4, &[0, 1, 3])];
    for cut in 0..=journal.len() {
        std::fs::write(setup.journal(), &journal[..cut]).unwrap();
        let partial = setup.open();
        if partial.path() == part {
            let whole = lens.iter().filter(|len| **len <= cut).count();
            assert_eq!(partial.durable(), durable[whole], "{cut}");
            setup.check(&partial);
        } else {
            // Not even its header is whole: all begins anew, and the old part is nobody's.
            assert!(partial.durable().is_empty() && cut < lens[0]);
            partial.discard().unwrap();
        }
    }
    // It goes on behind what was whole.
    std::fs::write(setup.journal(), &journal[..lens[1] + 5]).unwrap();
    let partial = setup.open();
    setup.write(&partial, 2).unwrap();
    partial.commit().unwrap();
    drop(partial);
    assert_eq!(setup.open().durable(), set(4, &[0, 2, 3]));
    setup.complete(&setup.open());
}

#[test]
fn a_full_disk_loses_nothing() {
    let setup = Setup::new(4 * MIN);
    let disk = Arc::new(Fake::default());
    let Opened::Going(partial) = setup.open_on(Arc::clone(&disk) as Arc<dyn Disk>).unwrap() else {
        panic!("complete")
    };
    partial.give(setup.given());
    setup.write(&partial, 3).unwrap();
    partial.commit().unwrap();
    // In a chunk.
    disk.leave_room(Some(MIN + 1000));
    setup.write(&partial, 1).unwrap();
    assert!(matches!(setup.write(&partial, 0), Err(WriteError::Disk(PartialError::DiskFull))));
    // In the journal, which may be tried again and again.
    for room in [0, 0, 1, 10] {
        disk.leave_room(Some(room));
        assert!(matches!(partial.commit(), Err(PartialError::DiskFull)));
        assert_eq!((partial.verified(), partial.durable()), (set(4, &[1, 3]), set(4, &[3])));
    }
    drop(partial);
    disk.let_go();
    let partial = setup.open();
    assert_eq!((partial.verified(), partial.durable()), (set(4, &[1, 3]), set(4, &[3])));
    drop(partial);

    let Opened::Going(partial) = setup.open_on(Arc::clone(&disk) as Arc<dyn Disk>).unwrap() else {
        panic!("complete")
    };
    // There is room for a chunk, but not to note it.
    disk.leave_room(Some(MIN + 3));
    setup.write(&partial, 0).unwrap();
    assert!(matches!(partial.commit(), Err(PartialError::DiskFull)));
    disk.leave_room(None);
    setup.write(&partial, 2).unwrap();
    let found = journal::read(&setup.journal()).unwrap().unwrap();
    assert_eq!((found.durable, found.written), (set(4, &[3]), set(4, &[0, 1, 2])));
    assert_eq!(partial.commit().unwrap(), 3);
    // At the end.
    partial.commit().unwrap();
    disk.leave_room(Some(2));
    assert!(matches!(partial.finish(), Err(PartialError::DiskFull)));
    disk.leave_room(None);
    setup.complete(&partial);
    assert_eq!(setup.names(), ["_._f.bin"]);
}

#[test]
fn a_disk_that_is_full_from_the_beginning() {
    let setup = Setup::new(4 * MIN);
    let disk = Arc::new(Fake::default());
    disk.leave_room(Some(20));
    assert!(matches!(setup.open_on(disk), Err(PartialError::DiskFull)));
    assert!(setup.folder().read_dir().unwrap().next().is_none() && !setup.has_journals());
}

#[test]
fn after_a_failed_sync_nothing_is_believed() {
    let setup = Setup::new(4 * MIN);
    let disk = Arc::new(Fake::default());
    let Opened::Going(partial) = setup.open_on(Arc::clone(&disk) as Arc<dyn Disk>).unwrap() else {
        panic!("complete")
    };
    partial.give(setup.given());
    setup.write(&partial, 3).unwrap();
    partial.commit().unwrap();
    setup.write(&partial, 0).unwrap();
    disk.stop_syncing();
    for _ in 0..2 {
        assert!(matches!(partial.commit(), Err(PartialError::Broken)));
        assert!(matches!(partial.finish(), Err(PartialError::Broken)));
        assert!(matches!(partial.writer(1), Err(WriteError::Disk(PartialError::Broken))));
    }
    drop(partial);
    // What is still to be read may not be on the disk, so it is not looked at.
    disk.let_go();
    let partial = setup.open();
    assert_eq!((partial.verified(), partial.durable()), (set(4, &[3]), set(4, &[3])));
    setup.complete(&partial);
}

/// Where files are renamed by linking, a crash leaves both names.
#[test]
fn a_file_with_both_names_loses_one() {
    let setup = Setup::new(MIN);
    let partial = setup.open();
    setup.write(&partial, 0).unwrap();
    partial.commit().unwrap();
    std::fs::hard_link(partial.path(), setup.folder().join("_._f.bin")).unwrap();
    drop(partial);
    setup.complete(&setup.open());
    assert_eq!(setup.names(), ["_._f.bin"]);
}
