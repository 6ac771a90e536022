//! Every packet on a wire, as tcpdump writes it down.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use crate::namespace::Namespace;

/// Headers of the file, of a record in it, and of Ethernet, in bytes.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const ETHERNET_HEADER: usize = 14;

/// The protocols that matter, as IP numbers them.
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// The last packet of a capture, which says that all before it are written down; and where it goes, for nobody to hear.
const LAST: &[u8] = b"the capture ends";
const LAST_PORT: u16 = 9;
/// How long it may take, and how often it is sent.
const LAST_WITHIN: Duration = Duration::from_secs(10);
const LAST_EVERY: Duration = Duration::from_millis(20);

/// Notes what passes an interface.
pub(crate) struct Capture {
    tcpdump: Child,
    file: PathBuf,
    /// Sends through the interface.
    last: UdpSocket,
}

/// An IP packet. Ports are 0 where the protocol has none.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) protocol: u8,
    /// What TCP or UDP carry; all of it for other protocols.
    pub(crate) payload: Vec<u8>,
}

impl Capture {
    /// Begins; whatever passes after this is in it. `beyond` is the router at the other end of the wire.
    pub(crate) fn begin(namespace: &Namespace, interface: &str, beyond: &str, file: PathBuf) -> Self {
        let last = namespace.inside(|| UdpSocket::bind("0.0.0.0:0")).expect("a namespace").expect("a socket");
        last.connect((beyond, LAST_PORT)).expect("a way through the interface");
        last.set_read_timeout(Some(LAST_EVERY)).expect("a time-out");
        let mut command = namespace.command("tcpdump");
        command.args(["-i", interface, "-n", "-U", "--immediate-mode", "-B", "8192", "-Z", "root", "-w"]);
        let tcpdump =
            command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut tcpdump = tcpdump.expect("tcpdump starts");
        let mut log = BufReader::new(tcpdump.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        assert!(log.any(|line| line.contains("listening on")), "tcpdump listens on {interface}");
        Self { tcpdump, file, last }
    }

    /// Ends; everything that passed before this.
    pub(crate) fn end(mut self) -> Vec<Packet> {
        // A tcpdump that is told to end forgets what it has not written yet.
        let deadline = Instant::now() + LAST_WITHIN;
        while !fs::read(&self.file).is_ok_and(|bytes| bytes.windows(LAST.len()).any(|window| window == LAST))
        {
            assert!(Instant::now() < deadline, "tcpdump does not keep up");
            // Nobody answers, unless to say that nobody is there.
            let _ = self.last.send(LAST).and_then(|_| self.last.recv(&mut [0; 1]));
        }
        kill_process(Pid::from_child(&self.tcpdump), Signal::TERM).expect("tcpdump runs");
        self.tcpdump.wait().expect("tcpdump ends");
        let mut packets = packets(&fs::read(&self.file).expect("tcpdump has written"));
        packets.retain(|packet| packet.to.port() != LAST_PORT || packet.payload != LAST);
        packets
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.tcpdump.kill();
        let _ = self.tcpdump.wait();
    }
}

/// Whether a text passed: in one packet, or in what one end sent to another.
pub(crate) fn carries(packets: &[Packet], text: &str) -> bool {
    let mut flows: Vec<(SocketAddr, SocketAddr, u8, Vec<u8>)> = Vec::new();
    for packet in packets {
        let same = |(from, to, protocol, _): &&mut (SocketAddr, SocketAddr, u8, Vec<u8>)| {
            (*from, *to, *protocol) == (packet.from, packet.to, packet.protocol)
        };
        match flows.iter_mut().find(same) {
            Some((.., bytes)) => bytes.extend_from_slice(&packet.payload),
            None => flows.push((packet.from, packet.to, packet.protocol, packet.payload.clone())),
        }
    }
    flows.iter().any(|(.., bytes)| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn packets(file: &[u8]) -> Vec<Packet> {
    let mut rest = file.get(FILE_HEADER..).expect("a file of tcpdump");
    assert_eq!(file[20..24], 1u32.to_le_bytes(), "Ethernet");
    let mut packets = Vec::new();
    while let Some((header, behind)) = rest.split_at_checked(RECORD_HEADER) {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let Some((frame, behind)) = behind.split_at_checked(length) else { break };
        rest = behind;
        packets.extend(packet(frame));
    }
    packets
}

/// What is in an Ethernet frame; nothing if it is no IP.
fn packet(frame: &[u8]) -> Option<Packet> {
    let ip = frame.get(ETHERNET_HEADER..)?;
    let (protocol, from, to, inside) = match frame.get(12..14)? {
        [0x08, 0x00] => {
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?));
            let header = usize::from(ip.first()? & 15) * 4;
            // Frames are filled up to a least length.
            let total = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
            let end = if total == 0 { ip.len() } else { total.min(ip.len()) };
            (*ip.get(9)?, IpAddr::from(address(12)?), IpAddr::from(address(16)?), ip.get(header..end)?)
        }
        [0x86, 0xdd] => {
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?));
            (*ip.get(6)?, address(8)?.into(), address(24)?.into(), ip.get(40..)?)
        }
        _ => return None,
    };
    let port = |at: usize| Some(u16::from_be_bytes([*inside.get(at)?, *inside.get(at + 1)?]));
    let ported = protocol == TCP || protocol == UDP;
    let (source, target) = if ported { (port(0)?, port(2)?) } else { (0, 0) };
    let header = match protocol {
        TCP => usize::from(inside.get(12)? >> 4) * 4,
        UDP => 8,
        _ => 0,
    };
    let payload = inside.get(header..)?.to_vec();
    Some(Packet { from: SocketAddr::new(from, source), to: SocketAddr::new(to, target), protocol, payload })
}
