//! What a service manager is told.

use std::{os::unix::net::UnixDatagram, path::Path};

use super::{DEADLINE, admin, hang_up, world_with, write};
use crate::support::World;
use rustix::process::Signal;

/// A manager that a server tells something.
struct Manager(UnixDatagram);

impl Manager {
    fn new(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    #[track_caller]
    fn hears(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).expect("it is told something");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The next that is no sign of life.
    fn hears_news(&self) -> String {
        std::iter::repeat_with(|| self.hears()).find(|message| message != "WATCHDOG=1\n").unwrap()
    }
}

fn start(watchdog: &str) -> (World, Manager, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = Manager::new(&path);
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", watchdog)];
    (world_with("", &[], &variables), manager, folder)
}

#[test]
fn it_is_told_when_the_server_is_ready_reloads_and_stops() {
    let (mut world, manager, _folder) = start("");
    let serving = format!("READY=1\nSTATUS=serving on {}\n", world.address());
    assert_eq!(manager.hears(), serving);
    hang_up(&world, "reloaded");
    assert!(manager.hears().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(manager.hears(), serving);
    write(&world, "colour = 1\n");
    assert_eq!(admin(&world, &["reload"]).0, 1);
    assert!(manager.hears().starts_with("RELOADING=1\n"));
    let failed = manager.hears();
    assert!(failed.starts_with("READY=1\nSTATUS=serving") && failed.contains("a reload failed"), "{failed}");
    world.signal(Signal::TERM);
    assert_eq!(manager.hears(), "STOPPING=1\nSTATUS=stopping\n");
    assert_eq!(world.ended(), 0);
}

#[test]
fn a_watchdog_hears_that_it_works_until_it_has_ended() {
    let (mut world, manager, _folder) = start("200000");
    let hans = world.user("hans");
    for _ in 0..5 {
        while manager.hears() != "WATCHDOG=1\n" {}
    }
    hans.leaves();
    world.signal(Signal::TERM);
    assert_eq!(manager.hears_news(), "STOPPING=1\nSTATUS=stopping\n");
    assert_eq!(world.ended(), 0);
}

#[test]
fn drain_is_told_as_well() {
    let (mut world, manager, _folder) = start("");
    assert!(manager.hears().starts_with("READY=1\n"));
    assert_eq!(admin(&world, &["drain"]).0, 0);
    assert_eq!(manager.hears(), "STOPPING=1\nSTATUS=stopping\n");
    assert_eq!(world.ended(), 0);
}
