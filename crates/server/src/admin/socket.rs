//! The socket: who may use it, and lines within bounds.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::PermissionsExt, net::UnixListener as StdListener},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{Mode, OFlags};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Gone, Keeper, Replies,
    wire::{Command, Done, REQUEST_BYTES_MAX, Reason, Refused, Reply, SOCKET_NAME},
};
use crate::security;

/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 16;
/// How long a connection may be silent, and how long a line of an answer may wait to be taken.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long answers under way may take when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// How long accepting pauses when there is no file to spare.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// What a system takes for the path of a socket (`sun_path`, with its end).
const PATH_BYTES_MAX: usize = 107;

/// Where the socket of a data folder is. A path that is too long for a socket goes through the open folder.
#[derive(Debug)]
pub struct Address {
    path: PathBuf,
    /// Kept open as long as the path leads through it.
    _folder: Option<OwnedFd>,
}

impl Address {
    /// The socket in this folder.
    ///
    /// # Errors
    /// The folder cannot be opened.
    pub fn of(data: &Path) -> io::Result<Self> {
        let path = data.join(SOCKET_NAME);
        if path.as_os_str().as_bytes().len() <= PATH_BYTES_MAX {
            return Ok(Self { path, _folder: None });
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(data, flags, Mode::empty())?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }

    /// The path to bind or to connect to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The socket, open for callers. Dropped, it is gone from the folder.
#[derive(Debug)]
pub(crate) struct Door {
    listener: StdListener,
    path: PathBuf,
}

impl Door {
    /// Opens it. The folder is this process's own by now, so what is there of an earlier one is in nobody's use.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let path = data.join(SOCKET_NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = StdListener::bind(Address::of(data)?.path())?;
        // Who comes before this is told from others by the credentials.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path })
    }

    /// Serves until the server stops. Returns the connections that wait to hear that it has.
    pub(crate) async fn serve(&self, keeper: Arc<Keeper>) -> Vec<UnixStream> {
        let listener = self.listener.try_clone().and_then(UnixListener::from_std);
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the admin socket cannot be served");
                return Vec::new();
            }
        };
        let mut waiting = Vec::new();
        let mut talks = JoinSet::new();
        let shutdown = keeper.node.shutdown.clone();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = talks.join_next(), if !talks.is_empty() => waiting.extend(ended.ok().flatten()),
                accepted = listener.accept(), if talks.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => drop(talks.spawn(talk(keeper.clone(), stream))),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept on the admin socket");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        let rest = async {
            while let Some(ended) = talks.join_next().await {
                waiting.extend(ended.ok().flatten());
            }
        };
        // What is not answered by then may have happened all the same.
        let _ = timeout(STOP_GRACE, rest).await;
        talks.shutdown().await;
        waiting
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // The next server removes it where this could not.
        let _ = fs::remove_file(&self.path);
    }
}

/// Tells those who wait that all is on disk.
pub(crate) async fn answer_drained(waiting: Vec<UnixStream>) {
    let answer = Reply::Done(Done::default()).encode();
    for mut stream in waiting {
        // Who is gone need not know.
        let _ = timeout(STOP_GRACE, stream.write_all(&answer)).await;
    }
}

impl Replies for BufReader<UnixStream> {
    async fn reply(&mut self, reply: &Reply) -> Result<(), Gone> {
        let line = reply.encode();
        match timeout(SILENCE_MAX, self.get_mut().write_all(&line)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

/// One connection. Comes back if it waits for the end of the server.
async fn talk(keeper: Arc<Keeper>, stream: UnixStream) -> Option<UnixStream> {
    let caller = allowed(&stream);
    let mut stream = BufReader::new(stream);
    let Some(uid) = caller else {
        let text = "Only the server's own user and root may do this";
        let _ = stream.reply(&Reply::Refused(Refused::new(Reason::NotAllowed, text))).await;
        return None;
    };
    let shutdown = keeper.node.shutdown.clone();
    loop {
        let line = tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            line = timeout(SILENCE_MAX, next_line(&mut stream)) => line.ok()?,
        };
        let command = match line {
            Ok(None) => return None,
            Ok(Some(line)) => Command::decode(&line),
            Err(refused) => Err(refused),
        };
        match command {
            Ok(Command::Drain) => {
                keeper.serve(uid, Command::Drain, &mut stream).await.ok()?;
                return Some(stream.into_inner());
            }
            Ok(command) => keeper.serve(uid, command, &mut stream).await.ok()?,
            Err(refused) => {
                let _ = stream.reply(&Reply::Refused(refused)).await;
                return None;
            }
        }
    }
}

/// The user who may, and calls. The permissions of file and folder are one lock; this is the other, should they be loose.
fn allowed(stream: &UnixStream) -> Option<u32> {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 || peer.uid() == own => Some(peer.uid()),
        Ok(peer) => {
            security::refused_at_socket(peer.uid(), peer.pid());
            None
        }
        Err(error) => {
            tracing::warn!(%error, "it is not known who is at the admin socket");
            None
        }
    }
}

/// The next request; `None`: there is none.
async fn next_line(stream: &mut BufReader<UnixStream>) -> Result<Option<Vec<u8>>, Refused> {
    let mut line = Vec::new();
    let mut bounded = stream.take(REQUEST_BYTES_MAX as u64);
    match bounded.read_until(b'\n', &mut line).await {
        Ok(_) if line.last() == Some(&b'\n') => Ok(Some(line)),
        Ok(length) if length == REQUEST_BYTES_MAX => {
            Err(Refused::new(Reason::BadRequest, "The request is too long"))
        }
        _ => Ok(None),
    }
}
