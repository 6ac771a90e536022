//! hobnob: instant messenger for people who run their own server. One binary, server and client.

mod admin;
mod args;
mod backup;
mod chat;
mod config;
mod demo;
mod doctor;
mod files;
mod log;
mod man;
mod notes;
mod notify;
mod oneshot;
mod output;
mod progress;
mod reload;
mod restore;
mod serve;
mod signals;
mod termios;
mod verify;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use args::{Misuse, Order};

/// How long threads may take to end when all is on disk.
const THREADS_END: Duration = Duration::from_millis(500);
/// The exit code of misuse.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    match args::read(std::env::args_os()) {
        Ok(order) => carry_out(order),
        Err(Misuse::Arguments(error)) => {
            // Nothing can be said where nobody listens.
            let _ = error.print();
            u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(Misuse::Settings(mistakes)) => {
            let _ = write!(io::stderr(), "{mistakes}");
            ExitCode::from(MISUSE)
        }
    }
}

fn carry_out(order: Order) -> ExitCode {
    match &order {
        Order::Chat(_) => log::show_warnings(true),
        Order::Send { .. }
        | Order::Tail(_)
        | Order::Share { .. }
        | Order::Files { .. }
        | Order::Get { .. }
        | Order::Doctor(_)
        | Order::Demo
        | Order::Admin { .. }
        | Order::Backup { .. }
        | Order::Restore { .. }
        | Order::Verify { .. } => log::show_warnings(false),
        // A server has a log of its own.
        Order::Serve(..) | Order::Man(_) | Order::Print(_) => {}
    }
    let result = match order {
        Order::Print(text) => print(&text),
        Order::Man(folder) => man::write(args::command(), &folder)
            .map(|()| 0)
            .with_context(|| format!("cannot write manual pages into {}", folder.display())),
        Order::Serve(settings, again) => serve::run(*settings, again),
        Order::Chat(settings) => in_runtime(chat::run(settings)),
        Order::Send { settings, to, text } => in_runtime(oneshot::send(settings, to, text)),
        Order::Doctor(settings) => in_runtime(doctor::run(settings)),
        Order::Demo => in_runtime(demo::run()),
        Order::Tail(settings) => in_runtime(oneshot::tail(settings)),
        Order::Share { settings, paths } => in_runtime(oneshot::share(settings, paths)),
        Order::Files { settings, pattern } => in_runtime(oneshot::files(settings, pattern)),
        Order::Get { settings, names } => in_runtime(oneshot::get(settings, names)),
        Order::Admin { settings, wish } => in_runtime(admin::run(settings, wish)),
        Order::Backup { settings, file, replace } => in_runtime(backup::run(settings, file, replace)),
        Order::Restore { settings, file } => restore::run(&settings, &file),
        Order::Verify { settings, file } => verify::run(&settings, file.as_deref()),
    };
    // A thread that still waits for a password would leave the terminal silent.
    termios::restore();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(io::stderr(), "hobnob: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A client needs little: one thread for its session, one for who sits at it.
fn in_runtime(task: impl Future<Output = anyhow::Result<u8>>) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(task);
    // What a thread still reads is for nobody.
    runtime.shutdown_timeout(THREADS_END);
    result
}

fn print(text: &str) -> anyhow::Result<u8> {
    match io::stdout().write_all(text.as_bytes()) {
        // `| head` has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        result => Ok(result.map(|()| 0)?),
    }
}
