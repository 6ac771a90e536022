//! A device in a process of its own, so that it can be killed, and its memory looked at.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use hobnob_peer::file::ContentId;
use hobnob_peer::files::{Content, Event};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::{Node, SOON, Server, Way, public};

/// The number of the device in the other process.
pub(crate) const NUMBER: u8 = 2;
/// The test of each binary that is this other process.
const ROLE: &str = "a_device_in_a_process_of_its_own";
const TASK: &str = "HOBNOB_TEST_TASK";
/// Lines for the parent begin with it, because the test harness prints others.
const MARK: &str = "child: ";

/// Another process with a device, killed when this is dropped.
pub(crate) struct Other {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(task: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([ROLE, "--exact", "--ignored", "--nocapture"]).env(TASK, task);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Downloads in this folder, from those that have this number and are at this address.
    pub(crate) fn downloads(folder: &Path, content: Content, givers: &[(u8, &str)]) -> Self {
        let givers: Vec<_> = givers.iter().map(|(number, address)| format!("{number}@{address}")).collect();
        let (id, size) = (content.id, content.size);
        Self::start(&format!("download {} {id:#} {size} {}", folder.display(), givers.join(",")))
    }

    /// Shares this file. Yields the address where it is given.
    pub(crate) async fn shares(folder: &Path, file: &Path) -> (Self, String) {
        let mut other = Self::start(&format!("share {} {}", folder.display(), file.display()));
        let address = other.says().await;
        (other, address)
    }

    /// The next that it says.
    pub(crate) async fn says(&mut self) -> String {
        let said = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it still lives");
                // The harness may have begun the line.
                if let Some((_, said)) = line.split_once(MARK) {
                    return said.to_owned();
                }
            }
        };
        timeout(SOON, said).await.expect("the other process says something")
    }

    /// Where it has put what it downloaded.
    pub(crate) async fn downloaded(&mut self) -> PathBuf {
        PathBuf::from(self.says().await)
    }

    /// The most memory that it had, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.start_kill().unwrap();
        timeout(SOON, self.child.wait()).await.expect("it ends").unwrap();
    }
}

/// What the other process does; nothing where no parent has begun it.
pub(crate) async fn play() {
    let Ok(task) = std::env::var(TASK) else { return };
    let task: Vec<_> = task.split(' ').collect();
    let server = Server::default();
    let mut node = Node::start_in(&server, NUMBER, Way::Tcp, PathBuf::from(task[1]), true).await;
    match task[0] {
        "download" => {
            let id: ContentId = task[2].parse().unwrap();
            let content = Content { id, size: task[3].parse().unwrap() };
            for giver in task[4].split(',') {
                let (number, address) = giver.split_once('@').unwrap();
                let seed = [number.parse().unwrap(); 32];
                server.holds(public(seed), &format!("hand{number}"), content, address);
            }
            node.download(content);
            println!("{MARK}{}", node.downloaded().await.display());
        }
        _ => {
            node.share_path(Path::new(task[2])).await;
            println!("{MARK}{}", server.tcp_of(node.key()));
        }
    }
    // Until it is killed.
    loop {
        match node.events.recv().await {
            Some(Event::ShareEnded { .. }) | None => return,
            Some(_) => {}
        }
    }
}
