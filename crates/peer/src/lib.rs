//! Between two people's machines: private talk, end-to-end encrypted, that the server introduces and never carries
//! in the clear.
//!
//! [`talk`] is the pure machine of all private talks of one user: requests, consent, sessions, their end. It says what
//! to ask of the server, what to do on the network and what to tell the person. [`network`] is the thin driver below
//! it: one QUIC endpoint with the device's key, and its links. [`keys`] remembers whose key is whose.

pub mod file;
pub mod files;
pub mod keys;
pub mod network;
pub mod swarm;
pub mod talk;
pub mod transfer;
