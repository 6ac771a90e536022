//! A little input that becomes much: in the decoder of frames, in the WebSocket, in HTTP.

mod decoder;
mod handshake;
mod http;
mod noise;

pub(crate) use decoder::doctor;
