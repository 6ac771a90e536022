//! The messages of one talk, both ways: numbered from 1 without a hole over all its links, kept until they
//! are acknowledged, taken once.

use std::collections::VecDeque;

use hobnob_protocol::limits::{TALK_UNACKED_MAX, TEXT_BYTES_MAX};
use hobnob_protocol::v1::talk_frame::Body;
use hobnob_protocol::v1::{TalkAck, TalkText};

/// Bytes of text that may wait to be acknowledged.
pub(super) const UNACKED_BYTES_MAX: usize = 1 << 20;

/// The messages of one talk.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// Not yet acknowledged.
    waiting: VecDeque<TalkText>,
    bytes: usize,
    /// The last number that was given to a message.
    given: u64,
    /// The last number that went out on any link.
    sent: u64,
    /// The last number that was taken.
    taken: u64,
}

/// What came is not what a sound peer would send.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nonsense;

impl Mail {
    /// Messages that wait to be acknowledged.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of text in them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing more fits.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= TALK_UNACKED_MAX || self.bytes >= UNACKED_BYTES_MAX
    }

    /// Keeps a message under the next number.
    pub(super) fn keep(&mut self, text: String) {
        self.given += 1;
        self.bytes += text.len();
        self.waiting.push_back(TalkText { number: self.given, text });
    }

    /// What has not yet gone out, to be sent now.
    pub(super) fn unsent(&mut self) -> Vec<Body> {
        let sent = std::mem::replace(&mut self.sent, self.given);
        self.waiting.iter().filter(|text| text.number > sent).cloned().map(Body::Text).collect()
    }

    /// Everything that is not acknowledged, to be sent on a new link.
    pub(super) fn again(&mut self) -> Vec<Body> {
        self.sent = self.given;
        self.waiting.iter().cloned().map(Body::Text).collect()
    }

    /// The other has shown everything up to and with this number. Whether that is news.
    pub(super) fn acked(&mut self, upto: u64) -> Result<bool, Nonsense> {
        if upto > self.sent {
            return Err(Nonsense);
        }
        let before = self.len();
        while let Some(text) = self.waiting.pop_front_if(|text| text.number <= upto) {
            self.bytes -= text.text.len();
        }
        Ok(self.len() < before)
    }

    /// A message came: its text, unless it was taken before.
    pub(super) fn take(&mut self, text: TalkText) -> Result<Option<String>, Nonsense> {
        if text.number == 0 || text.number > self.taken + 1 || text.text.len() > TEXT_BYTES_MAX {
            return Err(Nonsense);
        }
        if text.number <= self.taken {
            return Ok(None);
        }
        self.taken = text.number;
        Ok(Some(text.text))
    }

    /// Says what was taken so far.
    pub(super) fn ack(&self) -> Body {
        Body::Ack(TalkAck { upto: self.taken })
    }
}
