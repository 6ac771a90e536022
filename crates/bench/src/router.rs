//! The smallest router of lines on tokio and rustls: what a server costs here that does nothing but carry messages.
//! hobnob is measured beside it, so that the ratio holds on a machine whose speed does not.
//!
//! It keeps nothing, checks nobody and knows three commands. Not for anything but measuring.

use std::{
    collections::HashMap,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Poll, ready},
};

use anyhow::{Context, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;

/// Lines that may wait for a connection; one that has more is closed.
const QUEUE: usize = 4_096;
/// Lines written at once.
const BATCH: usize = 256;
/// No line is longer.
const LINE_BYTES_MAX: usize = 4_096;

/// Who is here.
#[derive(Default)]
struct Router {
    users: RwLock<HashMap<Vec<u8>, mpsc::Sender<Bytes>>>,
    /// Those who hear what is said to all.
    channel: RwLock<Vec<(Vec<u8>, mpsc::Sender<Bytes>)>>,
}

/// Listens until it is told to stop.
pub(crate) async fn run(plain: bool) -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let acceptor = if plain { None } else { Some(acceptor()?) };
    println!("{}", listener.local_addr()?);
    let (router, mut connections) = (Arc::<Router>::default(), JoinSet::new());
    let mut stop = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (router, acceptor) = (router.clone(), acceptor.clone());
                let (stream, _) = accepted?;
                connections.spawn(async move { serve(stream, acceptor, &router).await });
            }
            Some(ended) = connections.join_next() => {
                if let Ok(Err(error)) = ended {
                    eprintln!("{error:#}");
                }
            }
            _ = stop.recv() => return Ok(()),
        }
    }
}

fn acceptor() -> anyhow::Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?.with_no_client_auth();
    Ok(TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![made.cert.der().clone()], key)?)))
}

async fn serve(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: &Router) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let io = match acceptor {
        Some(acceptor) => Either::Left(acceptor.accept(stream).await?),
        None => Either::Right(stream),
    };
    let (sender, queue) = mpsc::channel(QUEUE);
    let mut user = User { name: Vec::new(), sender, router };
    let served = user.carry(io, queue).await;
    router.users.write().unwrap_or_else(PoisonError::into_inner).remove(&user.name);
    router.channel.write().unwrap_or_else(PoisonError::into_inner).retain(|(name, _)| *name != user.name);
    served
}

/// Reads what is there through a buffer on the stack, so that an idle connection holds none. Cancel-safe.
async fn fill(io: &mut (impl AsyncRead + Unpin), read: &mut BytesMut) -> std::io::Result<usize> {
    poll_fn(|context| {
        let mut room = [0; LINE_BYTES_MAX];
        let mut buffer = ReadBuf::new(&mut room);
        ready!(Pin::new(&mut *io).poll_read(context, &mut buffer))?;
        read.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

/// One connection.
struct User<'a> {
    name: Vec<u8>,
    sender: mpsc::Sender<Bytes>,
    router: &'a Router,
}

impl User<'_> {
    /// Carries lines both ways, many with one read or write.
    async fn carry(
        &mut self,
        mut io: impl AsyncRead + AsyncWrite + Unpin,
        mut queue: mpsc::Receiver<Bytes>,
    ) -> anyhow::Result<()> {
        let mut read = BytesMut::new();
        let (mut batch, mut written) = (Vec::new(), Vec::new());
        loop {
            tokio::select! {
                count = fill(&mut io, &mut read) => {
                    if count? == 0 {
                        return Ok(());
                    }
                    while let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                        self.handle(read[..end].trim_ascii_end())?;
                        read.advance(end + 1);
                    }
                    ensure!(read.len() < LINE_BYTES_MAX, "a line is too long");
                    if read.is_empty() {
                        read = BytesMut::new();
                    }
                }
                count = queue.recv_many(&mut batch, BATCH) => {
                    ensure!(count > 0, "nobody can send to it any more");
                    batch.drain(..).for_each(|line| written.put(line));
                    io.write_all(&written).await?;
                    io.flush().await?;
                    written.clear();
                }
            }
        }
    }

    fn handle(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let (verb, rest) = (&line[..space], line[space..].trim_ascii_start());
        match verb {
            b"NICK" => self.nick(rest),
            b"JOIN" => self.join(rest),
            b"PRIVMSG" => self.message(rest),
            _ => Ok(()),
        }
    }

    fn nick(&mut self, name: &[u8]) -> anyhow::Result<()> {
        self.name = name.to_vec();
        let mut users = self.router.users.write().unwrap_or_else(PoisonError::into_inner);
        users.insert(self.name.clone(), self.sender.clone());
        self.tell(&[b":router 001 ", name, b" :welcome\r\n"])
    }

    fn join(&mut self, channel: &[u8]) -> anyhow::Result<()> {
        let mut members = self.router.channel.write().unwrap_or_else(PoisonError::into_inner);
        members.push((self.name.clone(), self.sender.clone()));
        self.tell(&[b":router 366 ", &self.name, b" ", channel, b" :end\r\n"])
    }

    fn tell(&self, parts: &[&[u8]]) -> anyhow::Result<()> {
        self.sender.try_send(parts.concat().into()).ok().context("a connection is too slow")
    }

    /// `to :text`, to one or to the channel.
    fn message(&self, rest: &[u8]) -> anyhow::Result<()> {
        let line = Bytes::from([b":", &*self.name, b" PRIVMSG ", rest, b"\r\n"].concat());
        let to = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
        if to.starts_with(b"#") {
            let members = self.router.channel.read().unwrap_or_else(PoisonError::into_inner);
            for (_, member) in members.iter().filter(|(name, _)| *name != self.name) {
                member.try_send(line.clone()).ok().context("a member is too slow")?;
            }
            return Ok(());
        }
        let users = self.router.users.read().unwrap_or_else(PoisonError::into_inner);
        let to = users.get(to).context("there is no such user")?;
        to.try_send(line).ok().context("the receiver is too slow")
    }
}
