//! What must hold for any bytes from another person's machine: frames of private talk, of files, and tickets. Fuzzed here;
//! replayed over the corpus in `crates/protocol/tests`.

use std::fmt::Debug;

use hobnob_protocol::v1::{FileFrame, TalkFrame, Ticket};
use prost::Message;

/// Asserts it.
pub(crate) fn holds(data: &[u8]) {
    means_one_thing::<TalkFrame>(data);
    means_one_thing::<FileFrame>(data);
    means_one_thing::<Ticket>(data);
}

/// Encoding again may be longer or shorter, but never says anything else.
fn means_one_thing<T: Message + Default + PartialEq + Debug>(data: &[u8]) {
    let Ok(frame) = T::decode(data) else { return };
    assert_eq!(T::decode(&*frame.encode_to_vec()), Ok(frame));
}
