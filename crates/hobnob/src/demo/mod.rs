//! `hobnob demo`: a server and three people in one process, who play a scene with the real client. Every line is checked,
//! and nothing is left behind.

mod columns;
mod scene;
mod stage;

use std::{
    fs,
    io::{self, Write},
    path::Path,
    rc::Rc,
};

use anyhow::{Context, Result};
use hobnob_client::Address;
use hobnob_server::{
    Server,
    config::{Config, Policy, RelayPolicy, Tls},
};
use tokio::{net::TcpListener, task::LocalSet};
use tokio_util::sync::CancellationToken;

use self::{
    columns::Columns,
    scene::{CAST, FILM, FILM_BYTES, HIDDEN, RELAY_RATE, SCENE, Step},
    stage::Stage,
};
use crate::{
    config::{ChatSettings, Destination},
    output,
    signals::Signals,
    termios,
};

/// How wide the transcript is where there is no terminal.
const WIDTH: usize = 100;

/// Plays it; the result is the exit code: 0 only if every line was as it should be.
///
/// # Errors
/// The server cannot start.
pub(crate) async fn run() -> Result<u8> {
    let terminal = termios::is_terminal(io::stdout());
    let width = if terminal { termios::columns() } else { WIDTH };
    let columns = Columns::new(CAST.len(), width, terminal);
    // The scene counts, not whether anybody reads it.
    let show = |text: &str| drop(output::write(text));
    show("A server on this machine and three people, in a temporary folder. Each column is a terminal.\n\n");
    show(&columns.head(&CAST));
    let shown = |caption: Option<&str>, cells: &[Vec<columns::Cell>]| {
        show(&caption.map(|caption| columns.caption(caption)).unwrap_or_default());
        show(&columns.rows(cells));
    };
    let outcome = in_a_folder(SCENE, &shown).await?;
    match &outcome {
        Outcome::AsWritten => show(&format!("\nAll {} steps came out as written.\n", SCENE.len())),
        Outcome::Differs(words) => {
            let _ = writeln!(io::stderr(), "\nhobnob: {words}");
        }
        Outcome::Interrupted => {}
    }
    Ok(u8::from(outcome != Outcome::AsWritten))
}

/// How a scene came out.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    AsWritten,
    /// Which step differed, and how.
    Differs(String),
    Interrupted,
}

/// What is done with each step: its caption, and what happened in each column.
type Show<'a> = dyn Fn(Option<&str>, &[Vec<columns::Cell>]) + 'a;

/// Plays a scene with a server and clients below a folder that is gone afterwards.
async fn in_a_folder(scene: &[Step], show: &Show<'_>) -> Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("hobnob-demo-").tempdir().context("no temporary folder")?;
    let signals = Rc::new(Signals::listen()?);
    let server = {
        let config = Config {
            data: folder.path().join("server"),
            credentials: None,
            tls: Tls::SelfSigned,
            policy: Policy::default(),
            relay: Some(RelayPolicy { rate: Some(RELAY_RATE) }),
            proxies: Default::default(),
        };
        tokio::task::spawn_blocking(move || Server::open(config, &|_, _| ())).await??
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on 127.0.0.1")?;
    let address = listener.local_addr()?;
    let pin = server.fingerprint();
    let settings = CAST.map(|name| settings(folder.path(), name, address.port(), &pin));
    make_film(&settings[HIDDEN].downloads).context("no film")?;
    let mut stage = Stage::new(settings.into(), Rc::clone(&signals));
    let stop = CancellationToken::new();
    let serving = server.run(listener, stop.clone());
    let playing = async {
        let outcome = tokio::select! {
            outcome = play(scene, &mut stage, show) => outcome,
            () = signals.first().cancelled() => Outcome::Interrupted,
        };
        drop(stage);
        stop.cancel();
        outcome
    };
    let (served, outcome) = LocalSet::new().run_until(async { tokio::join!(serving, playing) }).await;
    served?;
    // What is in the folder is nobody's any more.
    folder.close().context("the temporary folder cannot be removed")?;
    Ok(outcome)
}

async fn play(scene: &[Step], stage: &mut Stage, show: &Show<'_>) -> Outcome {
    for (number, step) in scene.iter().enumerate() {
        match stage.play(step).await {
            Ok(columns) => show(step.caption, &columns),
            Err(differs) => return Outcome::Differs(format!("step {} differs: {differs}", number + 1)),
        }
    }
    match stage.nothing_is_left() {
        Ok(()) => Outcome::AsWritten,
        Err(differs) => Outcome::Differs(format!("after the last step: {differs}")),
    }
}

/// A file whose parts are not like each other.
fn make_film(folder: &Path) -> io::Result<()> {
    let mut state = 1_u64;
    let mut film = Vec::with_capacity(FILM_BYTES);
    while film.len() < FILM_BYTES {
        // Knuth's MMIX generator, of which the upper half is random enough.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        film.extend_from_slice(&((state >> 32) as u32).to_le_bytes());
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join(FILM), film)
}

/// A chat with this server, which it knows already.
fn settings(folder: &Path, name: &str, port: u16, pin: &str) -> ChatSettings {
    ChatSettings {
        destination: Destination {
            user: None,
            address: Address { host: "127.0.0.1".to_owned(), port, plain: false },
        },
        data: folder.join(name),
        pin: Some(pin.to_owned()),
        downloads: folder.join(name).join("downloads"),
        relay_only: name == CAST[HIDDEN],
    }
}

#[cfg(test)]
mod tests;
