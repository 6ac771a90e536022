//! Network namespaces on one switch, each with an uplink of a given rate: machines of a small network, for swarms.
//! Needs root, iproute2's `ip` and `tc`, and the kernel's bridges; all is removed when dropped.

use std::{path::Path, process::Stdio};

use anyhow::{Context, ensure};
use tokio::process::Command;

/// The namespace with the switch, where the server is.
const HUB: &str = "hub";

/// The network. Machines are numbered from 1; 0 is the hub.
pub(crate) struct Town {
    names: Vec<String>,
}

impl Town {
    /// Whether this process can make one; otherwise why not.
    pub(crate) async fn refusal() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("only root can make network namespaces".to_owned());
        }
        match Self::build(1, 100).await {
            Ok(_) => None,
            Err(error) => Some(format!("no network namespace can be made: {error:#}")),
        }
    }

    /// A hub and so many machines, with so many Mbit/s (10⁶ bit/s) each on the way to the switch.
    pub(crate) async fn build(machines: u8, uplink: u32) -> anyhow::Result<Self> {
        let mut town = Self { names: Vec::new() };
        town.add(HUB).await?;
        town.ip(0, &["link", "add", "switch", "type", "bridge"]).await?;
        town.ip(0, &["addr", "add", &format!("{}/24", address(0)), "dev", "switch"]).await?;
        town.ip(0, &["link", "set", "switch", "up"]).await?;
        for machine in 1..=machines {
            town.wire(machine, uplink).await.with_context(|| format!("machine {machine}"))?;
        }
        Ok(town)
    }

    /// A program on a machine, to be started. The process id is that of the program.
    pub(crate) fn command(&self, machine: u8, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[usize::from(machine)]]).arg(program);
        command
    }

    async fn add(&mut self, role: &str) -> anyhow::Result<()> {
        let name = format!("hobnob-bench-{}-{role}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name])).await?;
        self.names.push(name);
        let machine = u8::try_from(self.names.len() - 1)?;
        self.ip(machine, &["link", "set", "lo", "up"]).await
    }

    /// Lays the wire of a machine that is made for it. The bucket holds a few large packets: what the kernel hands over
    /// at once is as long as 64 KiB.
    async fn wire(&mut self, machine: u8, uplink: u32) -> anyhow::Result<()> {
        self.add(&machine.to_string()).await?;
        let (port, own) = (format!("port{machine}"), self.names[usize::from(machine)].clone());
        self.ip(0, &["link", "add", &port, "type", "veth", "peer", "name", "up0", "netns", &own]).await?;
        self.ip(0, &["link", "set", &port, "master", "switch", "up"]).await?;
        self.ip(machine, &["addr", "add", &format!("{}/24", address(machine)), "dev", "up0"]).await?;
        self.ip(machine, &["link", "set", "up0", "up"]).await?;
        let rate = format!("{uplink}mbit");
        let cap =
            ["qdisc", "add", "dev", "up0", "root", "tbf", "rate", &rate, "burst", "256kb", "latency", "50ms"];
        run(Command::new("tc").args(["-n", &own]).args(cap)).await
    }

    async fn ip(&self, machine: u8, arguments: &[&str]) -> anyhow::Result<()> {
        let name = &self.names[usize::from(machine)];
        run(Command::new("ip").args(["-n", name]).args(arguments)).await
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        for name in &self.names {
            let removed = std::process::Command::new("ip").args(["netns", "del", name]).status();
            if !removed.is_ok_and(|status| status.success()) {
                eprintln!("the network namespace {name} stays");
            }
        }
    }
}

/// Where a machine is.
pub(crate) fn address(machine: u8) -> String {
    format!("10.77.0.{}", u32::from(machine) + 1)
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.with_context(|| format!("{:?} cannot be started", command.as_std().get_program()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
