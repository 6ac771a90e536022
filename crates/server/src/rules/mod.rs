//! Pure rules: what happens is a value, and nothing here knows a socket, a clock or a task.

pub mod contact;
pub mod invite;
pub mod lockout;
pub mod push;
pub mod rate;
pub mod share;
pub mod stream;
