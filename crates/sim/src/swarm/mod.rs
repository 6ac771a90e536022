//! A swarm of simulated devices around the pure machines [`Swarm`](hobnob_peer::swarm::Swarm) and
//! [`Uploads`](hobnob_peer::swarm::Uploads): hundreds of peers on one thread, whose clock jumps from event to event.
//!
//! A chunk goes over its sender's uplink in pieces of 64 KiB, in turn with the other chunks that the sender is sending,
//! travels for the latency of both ends, and then queues at its receiver's downlink; a sender has at most 1 MiB on its
//! way to one receiver. So a transfer is limited by both ends, and a slow receiver does not take a sender's uplink.
//! Requests, refusals and maps take the latency and no bandwidth.

mod fifo;
mod links;
mod node;
mod outcome;
mod plan;
mod queue;
mod server;
mod wire;
mod world;

pub use outcome::{Dropped, Outcome};
pub use plan::{Leaves, Manner, Member, Order, Plan, chunk_bytes};
pub use world::run;
