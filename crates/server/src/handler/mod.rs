//! What each request does, one family a file.

pub(crate) mod claim;
pub(crate) mod file;
pub(crate) mod invitation;
pub(crate) mod login;
pub(crate) mod message;
pub(crate) mod password;
pub(crate) mod presence;
pub(crate) mod private;
