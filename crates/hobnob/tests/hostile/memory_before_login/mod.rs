//! Who has not logged in costs little and makes room for others, however far it got and however long it waits.

mod begun;
mod crowd;
mod waiting;
