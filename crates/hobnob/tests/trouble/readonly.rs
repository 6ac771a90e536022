//! A data folder that cannot be written: from the beginning, and from one moment to the next.

use std::process::{Child, Command, Stdio};

use crate::{TMPFS, disk, logged, status, support::World, until, until_trouble, with_a_disk};

#[test]
fn a_server_does_not_start_in_a_read_only_folder_and_says_why() {
    with_a_disk("readonly::the_folder_is_read_only", TMPFS);
}

#[test]
#[ignore = "another test begins it, with a small disk"]
fn the_folder_is_read_only() {
    let Some(disk) = disk() else { return };
    let mut world = World::linked(&disk, &[]);
    world.user("hans").leaves();
    world.stop();
    let remount = |how: &str| {
        let mounted = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&disk).status();
        assert!(mounted.unwrap().success());
    };
    remount("ro");
    let (code, log) = world.fails_to_start();
    assert!(code == 1 && log.contains("Read-only file system") && !log.contains("panicked"), "{code}: {log}");
    remount("rw");
    world.start();
    world.user("hans").leaves();
    world.stop();
}

/// Makes every write to the database fail as on a file system that has become read-only, until it is dropped.
struct ReadOnly(Child);

impl ReadOnly {
    /// `None`: this machine does not let processes be traced.
    fn of(pid: u32) -> Option<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64"]);
        command.args(["-e", "inject=pwrite64:error=EROFS", "-p", &pid.to_string()]);
        let child = command.stderr(Stdio::null()).spawn().ok()?;
        let mut tracer = Self(child);
        until("the tracer", || match tracer.0.try_wait().unwrap() {
            Some(_) => Some(false),
            None => {
                let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
                let traced = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap();
                (traced.trim() != "0").then_some(true)
            }
        })
        .then_some(tracer)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // It lets go of whom it traces.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _ = self.0.wait();
    }
}

#[test]
fn a_disk_that_becomes_read_only_is_told_and_used_again_when_it_is_not() {
    let world = World::new();
    let (hans, bob) = (world.user("hans"), world.user("bob"));
    hans.sees("bob logged in");
    let Some(readonly) = ReadOnly::of(world.server_pid()) else {
        eprintln!("SKIPPED a_disk_that_becomes_read_only: strace cannot trace here");
        return;
    };
    hans.types("message bob one");
    hans.sees("The server cannot write to its disk, your messages wait");
    hans.types("message bob two");
    until_trouble(&world, Some("not-writable"));
    bob.asks("whoelse", &["hans"]);
    let (code, said) =
        world.run("hans", &["send", "--user", "hans", "bob", "three"], Some("hans-secret"), "");
    assert_eq!(code, 1);
    assert!(said.contains("The server cannot write to its disk"), "{said}");
    drop(readonly);
    bob.sees("hans: one");
    bob.sees("hans: two");
    hans.sees("The server takes messages again");
    until_trouble(&world, None);
    assert_eq!(status(&world)["users_online"], 2);
    let said = [
        logged(&world, "the data folder cannot be written: "),
        logged(&world, "the disk can be written again"),
        logged(&world, "panicked"),
    ];
    assert_eq!(said, [1, 1, 0]);
    assert_eq!(bob.everything().matches("hans: ").count(), 2, "each once");
    hans.leaves();
    bob.leaves();
}
