//! A simulation of the whole: the real server and real clients, with memory for disks and queues for connections, on
//! one thread whose clock jumps. All chance comes from one seed, so that what went wrong once can be had again.
//!
//! People type while servers and clients crash, connections break and wake-ups get lost; when all is quiet, what they
//! saw is compared with what was accepted. Not here: sockets, files, SQL (the stores have a conformance suite).

mod chance;
mod check;
mod chronicle;
mod disk;
mod hooks;
mod ledger;
mod machine;
mod mood;
mod net;
mod person;
mod pipe;
mod run;
mod shortcut;
mod sim;
pub mod swarm;
mod talk;
mod trace;
mod watch;

pub use ledger::{Kind, Problem};
pub use run::{Report, run};
pub use shortcut::Which;
pub use talk::{TalkReport, TalkShortcut, run_talks};
