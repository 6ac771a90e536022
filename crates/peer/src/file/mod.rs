//! Files between people's machines: what a content is called, how it is cut, and how it is kept while it comes in.
//!
//! [`id`] names a content, [`chunk`] cuts it, [`map`] says who has which pieces, [`manifest`] lets each piece be
//! verified alone. [`source`] reads a shared file where it lies, [`partial`] keeps a download so that a killed process
//! costs nothing that was verified and a power failure only what was not yet synced, [`name`] makes a stranger's file
//! name harmless.
//!
//! The first four and [`name`] are pure. [`source`] and [`partial`] block on the disk: callers run them on threads
//! made for that. Nothing here knows peers, requests or the network.

pub mod chunk;
pub mod id;
pub mod manifest;
pub mod map;
pub mod name;
pub mod partial;
pub mod source;

pub use chunk::Shape;
pub use id::ContentId;
pub use manifest::{Manifest, Trust};
pub use map::ChunkSet;
pub use partial::Partial;
pub use source::Source;
