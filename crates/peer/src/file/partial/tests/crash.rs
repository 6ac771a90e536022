//! Whatever happens and whenever: what the journal says is there, and the download can be completed.

use super::fake::Fake;
use super::*;

/// Downloads on a disk that may crash. Yields the chunks that were told to be durable.
fn try_all(setup: &Setup, disk: &Arc<Fake>) -> ChunkSet {
    let mut promised = ChunkSet::none(setup.manifest.shape().chunks());
    let attempt = |promised: &mut ChunkSet| -> Result<(), WriteError> {
        let Opened::Going(partial) = setup.open_on(Arc::clone(disk) as Arc<dyn Disk>)? else {
            panic!("complete")
        };
        partial.give(setup.given());
        for chunks in [&[4][..], &[0, 3], &[1]] {
            for chunk in chunks {
                setup.write(&partial, *chunk)?;
            }
            partial.commit()?;
            *promised = partial.durable();
        }
        setup.write(&partial, 2)?;
        partial.finish()?;
        *promised = partial.durable();
        Ok(())
    };
    assert_eq!(attempt(&mut promised).is_err(), disk.has_crashed());
    promised
}

fn crash_at_every_step(power_fails: bool) {
    let mut steps_before_end = 0;
    for steps in 1.. {
        let setup = Setup::new(4 * MIN + 1000);
        let disk = Fake::crashing_after(steps);
        let promised = try_all(&setup, &disk);
        let crashed = disk.has_crashed();
        if power_fails {
            disk.lose_power();
        }
        drop(disk);
        if !crashed {
            break;
        }
        steps_before_end = steps;
        match setup.open_on(Arc::new(System)).unwrap() {
            Opened::Complete(path) => assert_eq!(std::fs::read(path).unwrap(), setup.content),
            Opened::Going(partial) => {
                let durable = partial.durable();
                assert!(promised.difference(&durable).is_empty(), "step {steps}");
                setup.check(&partial);
                setup.complete(&partial);
            }
        }
        assert_eq!(setup.names(), ["_._f.bin"], "step {steps}");
        assert!(!setup.has_journals());
    }
    // Opening, four chunks of three writes and a short one, four commits, the end.
    assert!(steps_before_end > 35, "{steps_before_end}");
}

#[test]
fn killed_at_every_step() {
    crash_at_every_step(false);
}

#[test]
fn without_power_at_every_step() {
    crash_at_every_step(true);
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
    assert_eq!(partial.durable(), set(4, &[3]));
    drop(partial);

    let Opened::Going(partial) = setup.open_on(Arc::clone(&disk) as Arc<dyn Disk>).unwrap() else {
        panic!("complete")
    };
    disk.leave_room(Some(MIN + 3));
    setup.write(&partial, 1).unwrap();
    assert!(matches!(partial.commit(), Err(PartialError::DiskFull)));
    disk.leave_room(None);
    assert_eq!(partial.commit().unwrap(), 1);
    setup.write(&partial, 0).unwrap();
    setup.write(&partial, 2).unwrap();
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
    disk.lose_power();
    drop((partial, disk));
    let partial = setup.open();
    assert_eq!(partial.durable(), set(4, &[3]));
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
