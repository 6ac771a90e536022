//! hobnob's server: accounts, presence, blocks, and messages that are never lost.
//!
//! A message's path: `session` reads a frame, `dispatch` finds its handler, the `writer` judges it (`rules`) and
//! commits it with whatever else is there (`store`), the sender is answered, the `hub` wakes the receivers, whose
//! sessions push it.

pub mod admin;
mod clock;
pub mod config;
pub mod control;
pub mod current;
mod dispatch;
pub mod gate;
mod handler;
pub mod hub;
pub mod identity;
pub mod import;
pub mod link;
pub mod listen;
pub mod mailbox;
pub mod node;
pub mod password;
pub mod proxy;
pub mod reader;
mod refusals;
pub mod relay;
pub mod rules;
pub mod security;
mod server;
pub mod session;
pub mod store;
pub mod throttle;
pub mod ticket;
pub mod trouble;
pub mod upkeep;
mod web;
pub mod writer;

pub use config::Config;
pub use listen::raise_open_files_limit;
pub use server::{Server, ServerError};
