//! A small internet: a server at a public address, and two homes behind routers that translate addresses.
//!
//! ```text
//!   home 0  192.168.11.2 ── router 0  198.51.100.11 ──┐
//!                                                     public  203.0.113.1
//!   home 1  192.168.12.2 ── router 1  192.0.2.12 ─────┘
//! ```

use std::{
    io::{self, Write},
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    capture::Capture,
    namespace::{Namespace, Reason, run},
};

/// The server's address.
pub(crate) const SERVER: &str = "203.0.113.1";
/// The routers' public addresses.
pub(crate) const PUBLIC: [&str; 2] = ["198.51.100.11", "192.0.2.12"];
/// The homes' own addresses.
pub(crate) const OWN: [&str; 2] = ["192.168.11.2", "192.168.12.2"];

const WIRES: [Wires; 2] = [
    Wires { out: "wan0", gateway: "198.51.100.1", inside: "192.168.11.1" },
    Wires { out: "wan1", gateway: "192.0.2.1", inside: "192.168.12.1" },
];

/// What is on both sides of a router.
struct Wires {
    /// The interface of the public namespace.
    out: &'static str,
    /// Its address.
    gateway: &'static str,
    /// The router's address at home.
    inside: &'static str,
}

/// What a router does. Each lets in only what answers, from the address and port it went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Router {
    /// Keeps the port of who sends.
    Keeps,
    /// Takes a random port for every destination.
    Random,
    /// Lets no UDP out.
    NoUdp,
}

/// All of it.
pub(crate) struct Internet {
    /// Where the server is.
    pub(crate) public: Namespace,
    /// Where the people are.
    pub(crate) homes: [Namespace; 2],
    _routers: [Namespace; 2],
    _turn: MutexGuard<'static, ()>,
}

impl Internet {
    /// Builds it. Where that is not possible, it says why on standard error.
    pub(crate) fn new(routers: [Router; 2]) -> Option<Self> {
        match Self::build(routers) {
            Ok(internet) => Some(internet),
            Err(reason) => {
                // Not by a macro, whose words are shown only when a test fails.
                let words = "SKIPPED: network namespaces cannot be used here, so nothing is tested: ";
                let _ = writeln!(io::stderr(), "{words}{reason}");
                None
            }
        }
    }

    fn build(routers: [Router; 2]) -> Result<Self, Reason> {
        if !rustix::process::geteuid().is_root() {
            return Err("that takes root".to_owned());
        }
        for tool in [&["ip", "-V"], &["nft", "-v"], &["tcpdump", "--version"]] {
            run(Command::new(tool[0]).arg(tool[1]))?;
        }
        // One at a time: a machine that builds several is too slow for any.
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Namespace::tidy();
        let public = Namespace::new("public")?;
        public.set("net/ipv4/ip_forward", "1")?;
        public.ip(&["addr", "add", &format!("{SERVER}/32"), "dev", "lo"])?;
        let (router0, home0) = home(&public, 0, routers[0])?;
        let (router1, home1) = home(&public, 1, routers[1])?;
        Ok(Self { public, homes: [home0, home1], _routers: [router0, router1], _turn: turn })
    }

    /// Notes what passes between a router and the server.
    pub(crate) fn capture_public(&self, home: usize, file: PathBuf) -> Capture {
        Capture::begin(&self.public, WIRES[home].out, PUBLIC[home], file)
    }

    /// Notes what passes between a home and its router.
    pub(crate) fn capture_home(&self, home: usize, file: PathBuf) -> Capture {
        Capture::begin(&self.homes[home], "eth0", WIRES[home].inside, file)
    }
}

/// A router and the home behind it.
fn home(public: &Namespace, number: usize, kind: Router) -> Result<(Namespace, Namespace), Reason> {
    let wires = &WIRES[number];
    let (router, home) = (Namespace::new("router")?, Namespace::new("home")?);
    let net = |address: &str| format!("{address}/24");
    public.wire((wires.out, &net(wires.gateway)), &router, ("wan", &net(PUBLIC[number])))?;
    router.wire(("lan", &net(wires.inside)), &home, ("eth0", &net(OWN[number])))?;
    router.ip(&["route", "add", "default", "via", wires.gateway])?;
    // Private addresses of others are nobody's out there.
    router.ip(&["route", "add", "blackhole", "192.168.0.0/16"])?;
    home.ip(&["route", "add", "default", "via", wires.inside])?;
    router.set("net/ipv4/ip_forward", "1")?;
    router.rules(&rules(kind))?;
    Ok((router, home))
}

fn rules(kind: Router) -> String {
    let (translation, out) = match kind {
        Router::Keeps => ("masquerade", ""),
        Router::Random => ("masquerade random,fully-random", ""),
        Router::NoUdp => ("masquerade", "meta l4proto udp drop"),
    };
    // What comes unasked is dropped before the router notes it: a note would take the port that the answer needs.
    format!(
        r#"
table ip nat {{
  chain out {{
    type nat hook postrouting priority srcnat;
    oifname "wan" {translation}
  }}
}}
table ip filter {{
  chain here {{
    type filter hook input priority filter; policy accept;
    iifname "wan" ct state new drop
  }}
  chain through {{
    type filter hook forward priority filter; policy accept;
    iifname "wan" ct state new drop
    {out}
  }}
}}
"#
    )
}
