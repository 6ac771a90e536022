//! Disks that are full or cannot be written, with the real program: what people see, that nothing is lost, and that it
//! goes on when the disk does.
//!
//! Small file systems are mounted in a mount namespace of their own, for which a test has to be root, and a disk that
//! fails is played by `strace`; where that is not possible a test is skipped, and says so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod client;
mod full;
mod people;
mod readonly;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use support::{World, hobnob};
use tokio::time::Instant;

/// Where the small disk is, for the process that has it.
const DISK: &str = "HOBNOB_SMALL_DISK";
/// What takes longer has failed.
const SOON: Duration = Duration::from_secs(60);

/// Runs a test of this file in a process that has a small disk, mounted on `$0` by this script; `$1` is a file beside it.
/// False: that is not possible here.
fn with_a_disk(test: &str, mount: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let (disk, image) = (folder.path().join("disk"), folder.path().join("image"));
    fs::create_dir(&disk).unwrap();
    let script = |then: &str| format!("{{ {mount}; }} >&2 || exit 77; shift; {then}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script("\"$@\"; code=$?; umount \"$0\"; exit $code")]);
    command.arg(&disk).arg(&image).arg(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]).env(DISK, &disk);
    let output = match command.output() {
        Ok(output) if output.status.code() != Some(77) && output.status.code() != Some(1) => output,
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("running 1 test") => output,
        output => {
            eprintln!("SKIPPED {test}: mounting a small disk needs root and `unshare`: {output:?}");
            return false;
        }
    };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    true
}

const TMPFS: &str = "mount -t tmpfs -o size=64m none \"$0\"";
const EXT4: &str = "truncate -s 64M \"$1\" && mkfs.ext4 -q \"$1\" && mount -o loop \"$1\" \"$0\"";

/// The small disk of this process.
fn disk() -> Option<PathBuf> {
    std::env::var_os(DISK).map(PathBuf::from)
}

/// Waits until something holds, with a look now and then.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < SOON, "{what} did not come");
        // Nobody tells of what is looked at here.
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// `hobnob admin --json status`.
fn status(world: &World) -> serde_json::Value {
    let mut command = hobnob(&world.path("home"));
    command.args(["admin", "--data"]).arg(world.path("server")).args(["--json", "status"]);
    let output = command.stderr(Stdio::null()).output().unwrap();
    let line: serde_json::Value =
        serde_json::from_slice(output.stdout.split(|byte| *byte == b'\n').next().unwrap())
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)));
    assert!(line["version"].is_string(), "{line}");
    line
}

/// Waits until the server says so of its disk.
fn until_trouble(world: &World, trouble: Option<&str>) {
    until(&format!("{trouble:?}"), || (status(world)["trouble"].as_str() == trouble).then_some(()));
}

/// How many lines of the server's log have this text.
fn logged(world: &World, text: &str) -> usize {
    let log = fs::read_to_string(world.path("server.log")).unwrap();
    log.lines().filter(|line| line.contains(text)).count()
}

/// Fills a disk to the last byte.
fn fill(disk: &Path) -> PathBuf {
    use std::io::Write;
    let path = disk.join("filler");
    let mut file = fs::File::create(&path).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        if file.write_all(&vec![1; size]).and_then(|()| file.sync_data()).is_err() {
            size /= 2;
        }
    }
    path
}
