//! What a side's process does: the real driver of files over the real transports, and in place of the server only as
//! much as they notice. Tickets are signed here, with a key that all sides know.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use hobnob_peer::{
    file::ContentId,
    files::{self, Content, Entry, Event, Files, FilesEvents, Reply, Request},
    network::{self, LinkEvent, Network, NetworkEvents},
};
use hobnob_protocol::v1;
use prost::Message;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

use crate::args::{Over, Side};

/// Seed of the key that signs tickets.
const SERVER: [u8; 32] = [200; 32];
const HOUR_MS: i64 = 3_600_000;

/// Runs one side until its input ends.
pub(crate) async fn run(args: &Side) -> anyhow::Result<()> {
    let mut inside = Inside::start(args).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    match &args.file {
        Some(file) => inside.give(file.clone()).await?,
        None => inside.take(&mut lines).await?,
    }
    inside.until_end(&mut lines).await?;
    inside.files.leave().await;
    if let Some(network) = inside.network {
        network.close().await;
    }
    Ok(())
}

struct Inside {
    seed: [u8; 32],
    files: Files,
    events: FilesEvents,
    network: Option<Network>,
    /// Where others reach this side.
    addresses: Vec<String>,
    /// What the server would answer.
    sources: v1::Sources,
    over: Over,
}

impl Inside {
    async fn start(args: &Side) -> anyhow::Result<Self> {
        let seed = [args.number; 32];
        let downloads = args.folder.join("downloads");
        std::fs::create_dir_all(&downloads)?;
        let (files, mut events) = Files::start(files::Setup {
            comes_back: false,
            seed,
            ticket_key: public(&SERVER)?,
            data: args.folder.join("data"),
            downloads,
            // Without TCP only QUIC is left.
            relay_only: args.over == Over::Quic,
            holds: true,
            listen: Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
            blocked: Vec::new(),
        })?;
        let mut network = None;
        let addresses = match args.over {
            Over::Tcp => vec![listening(&mut events).await?],
            _ => {
                let (opened, mut whereabouts) =
                    Network::open(network::Setup { seed, relay: None, relay_only: false }).await?;
                files.use_network(opened.files())?;
                network = Some(opened);
                contact(&mut whereabouts).await?
            }
        };
        let over = args.over;
        Ok(Self { seed, files, events, network, addresses, sources: v1::Sources::default(), over })
    }

    async fn give(&mut self, file: PathBuf) -> anyhow::Result<()> {
        self.files.share(file)?;
        let (id, size) = loop {
            match self.next().await? {
                Event::Sharing { id, size, .. } => break (id, size),
                Event::ShareFailed { why, .. } => bail!("it cannot be shared: {why}"),
                _ => {}
            }
        };
        let key = ContentId::from_bytes(public(&self.seed)?);
        say(&format!("offers {id:#} {size} {key:#} {}", self.addresses.join(",")))
    }

    async fn take(&mut self, lines: &mut Lines<BufReader<Stdin>>) -> anyhow::Result<()> {
        say("ready")?;
        let line = lines.next_line().await?.context("nothing is wanted")?;
        let mut words = line.split(' ').skip(1);
        let mut word = || words.next().context("a word is missing");
        let content = Content { id: word()?.parse()?, size: word()?.parse()? };
        self.sources.sources =
            words.map(|word| source(word, self.over)).collect::<Option<_>>().context("no source")?;
        (self.sources.ticket, self.sources.signature) = ticket(public(&self.seed)?, content)?;
        let entry =
            Entry { content, name: "file".to_owned(), folder: None, sources: Some(self.sources.clone()) };
        self.files.download(entry)?;
        loop {
            match self.next().await? {
                Event::Downloaded { .. } => return say("done"),
                Event::DownloadFailed { why, .. } => return say(&why),
                _ => {}
            }
        }
    }

    /// The next event that is not for the server.
    async fn next(&mut self) -> anyhow::Result<Event> {
        loop {
            let event = self.events.next().await.context("everything has ended")?;
            let Event::Server { id, request } = event else { return Ok(event) };
            let reply = match request {
                Request::FindSources(_) => Reply::Sources(self.sources.clone()),
                _ => Reply::Done,
            };
            self.files.answered(id, reply)?;
        }
    }

    async fn until_end(&mut self, lines: &mut Lines<BufReader<Stdin>>) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                line = lines.next_line() => if line?.is_none() { return Ok(()) },
                event = self.next() => drop(event?),
            }
        }
    }
}

async fn listening(events: &mut FilesEvents) -> anyhow::Result<String> {
    loop {
        match events.next().await.context("everything has ended")? {
            Event::Listening { port } => return Ok(format!("127.0.0.1:{port}")),
            _ => continue,
        }
    }
}

/// Loopback where the endpoint tells of it: it is what is measured.
async fn contact(whereabouts: &mut NetworkEvents) -> anyhow::Result<Vec<String>> {
    loop {
        if let LinkEvent::Contact(contact) = whereabouts.next().await.context("the network has ended")? {
            return Ok(contact.addresses);
        }
    }
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn pair(seed: &[u8; 32]) -> anyhow::Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| anyhow::anyhow!("a seed is no key"))
}

fn public(seed: &[u8; 32]) -> anyhow::Result<[u8; 32]> {
    Ok(pair(seed)?.public_key().as_ref().try_into()?)
}

/// `KEY=ADDRESS,ADDRESS`: somebody who has all of it.
fn source(word: &str, over: Over) -> Option<v1::Source> {
    let (key, addresses) = word.split_once('=')?;
    let key: ContentId = key.parse().ok()?;
    let addresses: Vec<_> = addresses.split(',').map(str::to_owned).collect();
    let (tcp, addresses) = if over == Over::Tcp { (addresses, Vec::new()) } else { (Vec::new(), addresses) };
    let (user, key) = (format!("user {key}"), key.as_bytes().to_vec().into());
    Some(v1::Source { user, key, complete: true, tcp, addresses, ..Default::default() })
}

/// The right to fetch a file, as the server would give it.
fn ticket(key: [u8; 32], content: Content) -> anyhow::Result<(Bytes, Bytes)> {
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let v1::Content { id, size } = content.to_wire();
    let (key, user, expires_ms) = (key.to_vec().into(), "taker".to_owned(), now_ms + HOUR_MS);
    let ticket = v1::Ticket { key, user, id, size, expires_ms }.encode_to_vec();
    let signature = pair(&SERVER)?.sign(&ticket).as_ref().to_vec();
    Ok((ticket.into(), signature.into()))
}
