//! The server's disk is full: by its own messages, and by what others put there.

use std::fs;
use std::time::Duration;

use hobnob_protocol::v1::Trouble;
use tokio::task::JoinSet;

use crate::{
    EXT4, TMPFS, disk, fill, logged,
    people::{Person, Told},
    status,
    support::World,
    until_trouble, with_a_disk,
};

const FULL: &str = "the disk is full; messages wait at their senders";
const AGAIN: &str = "the disk can be written again";
/// Inboxes that the disk is too small for.
const BIG: [&str; 8] = [
    "--send-rate",
    "off",
    "--inbox-per-sender",
    "1000000",
    "--inbox-messages",
    "1000000",
    "--inbox-bytes",
    "1073741824",
];

#[test]
fn a_memory_disk_that_fills_up_under_traffic_loses_nothing_and_recovers() {
    with_a_disk("full::traffic_fills_the_disk", TMPFS);
}

#[test]
fn a_real_disk_that_fills_up_under_traffic_loses_nothing_and_recovers() {
    with_a_disk("full::traffic_fills_the_disk", EXT4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "another test begins it, with a small disk"]
async fn traffic_fills_the_disk() {
    let Some(disk) = disk() else { return };
    tokio::time::timeout(3 * crate::SOON, fill_by_traffic(&disk)).await.expect("it ends");
}

async fn fill_by_traffic(disk: &std::path::Path) {
    let world = World::linked(disk, &BIG);
    Person::join(&world, "bob").await.leaves().await;
    let mut senders = [("anna", 40), ("carl", 3), ("dora", 60)].map(|(name, kib)| (name, kib, None));
    for (name, _, person) in &mut senders {
        *person = Some(Person::join(&world, name).await);
    }
    let mut fills = JoinSet::new();
    for (name, kib, person) in senders {
        fills.spawn(async move {
            let mut person = person.expect("logged in");
            let (sent, told) = person.sends_until_full("bob", kib).await;
            (name, person, sent, told)
        });
    }
    let mut full = fills.join_all().await;
    assert!(full.iter().all(|(.., told)| told.troubles == [Some(Trouble::DiskFull)]), "told once, clearly");
    assert_eq!(status(&world)["trouble"], "disk-full");
    assert_eq!(logged(&world, FULL), 1);
    // The rest goes on: somebody registers, looks around, blocks, sends, and leaves.
    let before = cpu(&world);
    let mut emma = world.user("emma");
    emma.asks("whoelse", &["anna", "carl", "dora"]);
    emma.asks("block carl", &["carl is blocked"]);
    emma.types("message bob 0 hello");
    emma.sees("The server's disk is full, your messages wait");
    emma.types("logout");
    emma.sees("1 messages wait for the server");
    assert_eq!(emma.ends(), 0);
    let (code, said) =
        world.run("emma", &["send", "--user", "emma", "bob", "1 hello"], Some("emma-secret"), "");
    assert_eq!(
        (code, &*said),
        (1, "The server's disk is full, your messages wait\n1 messages wait for the server\n")
    );
    // Nobody asks without end.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let spent = cpu(&world) - before;
    assert!(spent < Duration::from_secs(2), "{spent:?} of work while nothing could be done");
    // What is delivered makes room, until all has been sent.
    let mut bob = Person::join(&world, "bob").await;
    let count: usize = full.iter().map(|(_, _, sent, _)| *sent).sum();
    let mut reads = JoinSet::new();
    reads.spawn(async move {
        let received = bob.receives(count).await;
        (bob, received)
    });
    for (_, person, sent, told) in &mut full {
        person.until_accepted(*sent, told).await;
        person.until_told(None, told).await;
    }
    let read = tokio::time::timeout(crate::SOON, reads.join_next()).await;
    let (bob, received) = read.expect("all is delivered").expect("it was begun").unwrap();
    for (name, _, sent, _) in &full {
        let numbers: Vec<_> =
            received.iter().filter(|(from, _)| from == name).map(|(_, number)| *number).collect();
        assert!(numbers.iter().copied().eq(0..*sent), "each once, in order: {numbers:?}");
    }
    until_trouble(&world, None);
    assert_eq!(logged(&world, FULL), logged(&world, AGAIN));
    // What emma left goes out when she comes back.
    let mut emma = Person::join_with(&world, "emma", "emma-secret").await;
    let mut told = Told::default();
    emma.until_accepted(2, &mut told).await;
    for person in full.into_iter().map(|(_, person, ..)| person).chain([emma, bob]) {
        person.leaves().await;
    }
    end(world);
}

#[test]
fn a_disk_that_others_fill_is_told_and_used_again() {
    with_a_disk("full::others_fill_the_disk", TMPFS);
}

#[test]
#[ignore = "another test begins it, with a small disk"]
fn others_fill_the_disk() {
    let Some(disk) = disk() else { return };
    let world = World::linked(&disk, &[]);
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    let filler = fill(&disk);
    hans.types("message bob one");
    hans.sees("The server's disk is full, your messages wait");
    hans.types("message bob two");
    until_trouble(&world, Some("disk-full"));
    // Who is here stays, and can look around; who comes is told.
    bob.asks("whoelse", &["hans"]);
    let (code, said) =
        world.run("hans", &["send", "--user", "hans", "bob", "three"], Some("hans-secret"), "");
    assert_eq!(code, 1);
    assert!(said.contains("The server's disk is full"), "{said}");
    fs::remove_file(filler).unwrap();
    bob.sees("hans: one");
    bob.sees("hans: two");
    hans.sees("The server takes messages again");
    until_trouble(&world, None);
    assert_eq!((logged(&world, FULL), logged(&world, AGAIN)), (1, 1));
    // A server that starts on a full disk, or does not, says why.
    let mut world = world;
    world.stop();
    fill(&disk);
    let (code, log) = world.fails_to_start();
    assert!(code == 1 && log.contains("the disk is full") && !log.contains("panicked"), "{code}: {log}");
    fs::remove_file(disk.join("filler")).unwrap();
    world.start();
    hans.types("message bob four");
    bob.sees("hans: four");
    assert_eq!(bob.everything().matches("hans: ").count(), 3, "each once");
    hans.leaves();
    bob.leaves();
    end(world);
}

/// So that the disk can be unmounted.
fn end(mut world: World) {
    world.stop();
}

/// What the server has worked.
fn cpu(world: &World) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", world.server_pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // utime and stime, in hundredths of a second.
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
