//! What becomes of a submit: the judgement of messages, broadcasts and blocks, and its idempotency.
//!
//! Each outbox numbers what it submits from 1 without a hole. A number is judged once, in the transaction that
//! also stores its effect; its outcome is kept beside it, so that a repeat gets the same answer (the idea of
//! Kafka's idempotent producer, KIP-98).

use std::sync::Arc;

use bytes::Bytes;
use hobnob_protocol::{
    name::Name,
    text::{self, TextError},
    v1::{self, submit::Op, submitted::Outcome as Code},
};

use crate::{
    config::InboxLimits,
    store::{Account, AccountId, OUTCOMES_KEPT, OutboxId, OutboxState, Outcome, Result, StreamId, Tx},
};

/// Who submits.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// The account.
    pub account: AccountId,
    /// The outbox whose numbers count.
    pub outbox: OutboxId,
}

/// What a submit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing, or it did it the first time.
    None,
    /// An entry was stored.
    Stored {
        /// In this stream.
        stream: StreamId,
        /// Under this number.
        seq: u64,
    },
    /// A block was set or removed.
    Block {
        /// Of this account.
        blocked: AccountId,
        /// Set or removed.
        on: bool,
    },
}

/// The answer to a submit, and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For the reply.
    pub outcome: Code,
    /// The user meant, as first registered.
    pub user: String,
    /// The number that is due, after a gap.
    pub expected: u64,
    /// What to tell the hub.
    pub effect: Effect,
}

impl Verdict {
    fn new(outcome: Code, user: &str) -> Self {
        Self { outcome, user: user.to_owned(), expected: 0, effect: Effect::None }
    }
}

/// Judges a submit and carries it out.
///
/// # Errors
/// Only of the store; what is wrong with the submit is an outcome.
pub fn submit(
    tx: &mut dyn Tx,
    sender: Sender,
    number: u64,
    op: &Op,
    now_ms: i64,
    limits: &InboxLimits,
) -> Result<Verdict> {
    let hash = hash(op);
    if number != tx.outbox_last(sender.outbox)? + 1 {
        let state = tx.outbox_state(sender.outbox)?;
        return repeat(tx, &state, number, hash, op);
    }
    let verdict = judge(tx, sender.account, op, now_ms, limits)?;
    tx.add_outcome(sender.outbox, Outcome { code: verdict.outcome as u8, hash })?;
    Ok(verdict)
}

/// Identifies what was submitted, so that a number that comes again with other content is noticed.
#[must_use]
pub fn hash(op: &Op) -> [u8; 4] {
    let (kind, target, text) = match op {
        Op::Message(message) => (1u8, message.to.as_str(), message.text.as_str()),
        Op::Broadcast(broadcast) => (2, "", broadcast.text.as_str()),
        Op::Block(block) => (3, block.user.as_str(), ""),
        Op::Unblock(unblock) => (4, unblock.user.as_str(), ""),
    };
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(&[kind]);
    context.update(&(target.len() as u32).to_be_bytes());
    context.update(target.as_bytes());
    context.update(text.as_bytes());
    let digest = context.finish();
    let mut first = [0; 4];
    first.copy_from_slice(&digest.as_ref()[..4]);
    first
}

/// The answer to a number that is not the next one.
fn repeat(tx: &mut dyn Tx, state: &OutboxState, number: u64, hash: [u8; 4], op: &Op) -> Result<Verdict> {
    if number > state.last_number {
        return Ok(Verdict { expected: state.last_number + 1, ..Verdict::new(Code::Gap, "") });
    }
    debug_assert!(state.outcomes.len() <= OUTCOMES_KEPT);
    let age = (state.last_number - number) as usize;
    let kept = state.outcomes.len().checked_sub(age + 1).map(|index| state.outcomes[index]);
    let Some(first) = kept.filter(|first| first.hash == hash) else {
        return Ok(Verdict::new(Code::Stale, ""));
    };
    let user = target(op).map(|typed| find(tx, typed)).transpose()?.flatten();
    let outcome = Code::try_from(i32::from(first.code)).unwrap_or(Code::Stale);
    Ok(Verdict::new(outcome, user.as_ref().map_or("", |account| &account.name)))
}

fn target(op: &Op) -> Option<&str> {
    match op {
        Op::Message(message) => Some(&message.to),
        Op::Block(block) => Some(&block.user),
        Op::Unblock(unblock) => Some(&unblock.user),
        Op::Broadcast(_) => None,
    }
}

fn find(tx: &mut dyn Tx, typed: &str) -> Result<Option<Arc<Account>>> {
    match Name::parse(typed) {
        Ok(name) => tx.account_by_key(name.key()),
        Err(_) => Ok(None),
    }
}

fn judge(tx: &mut dyn Tx, sender: AccountId, op: &Op, now_ms: i64, limits: &InboxLimits) -> Result<Verdict> {
    match op {
        Op::Message(message) => direct(tx, sender, message, now_ms, limits),
        Op::Broadcast(broadcast) => to_all(tx, sender, &broadcast.text, now_ms),
        Op::Block(block) => set_block(tx, sender, &block.user, true),
        Op::Unblock(unblock) => set_block(tx, sender, &unblock.user, false),
    }
}

fn syntax(text: &str) -> Option<Code> {
    match text::check(text) {
        Ok(()) => None,
        Err(TextError::TooLong) => Some(Code::TooLong),
        Err(TextError::ControlCharacters) => Some(Code::ControlCharacters),
    }
}

/// The order of the checks is the one of the interface: no answer betrays a blocker's presence.
fn direct(
    tx: &mut dyn Tx,
    sender: AccountId,
    message: &v1::DirectMessage,
    now_ms: i64,
    limits: &InboxLimits,
) -> Result<Verdict> {
    if let Some(code) = syntax(&message.text) {
        return Ok(Verdict::new(code, ""));
    }
    let Some(to) = find(tx, &message.to)? else { return Ok(Verdict::new(Code::InvalidUser, "")) };
    if to.id == sender {
        return Ok(Verdict::new(Code::Self_, &to.name));
    }
    if tx.blocks(to.id, sender)? {
        return Ok(Verdict::new(Code::Blocked, &to.name));
    }
    if is_full(tx, to.id, sender, &message.text, limits)? {
        return Ok(Verdict::new(Code::InboxFull, &to.name));
    }
    let stream = StreamId::Inbox(to.id);
    let seq = tx.append(stream, sender, now_ms, &Bytes::copy_from_slice(message.text.as_bytes()))?;
    Ok(Verdict { effect: Effect::Stored { stream, seq }, ..Verdict::new(Code::Accepted, &to.name) })
}

/// Whether an inbox has no room for another text of this sender. As a rule the number of its unread entries alone tells
/// that it has.
fn is_full(
    tx: &mut dyn Tx,
    inbox: AccountId,
    sender: AccountId,
    text: &str,
    limits: &InboxLimits,
) -> Result<bool> {
    let entries = tx.unread(inbox)?;
    if limits.have_room(entries) {
        return Ok(false);
    }
    let unread = tx.unread_counted(inbox, sender)?;
    Ok(entries >= limits.entries
        || unread.bytes.saturating_add(text.len() as u64) > limits.bytes
        || unread.of_sender >= limits.entries_per_sender)
}

fn to_all(tx: &mut dyn Tx, sender: AccountId, text: &str, now_ms: i64) -> Result<Verdict> {
    if let Some(code) = syntax(text) {
        return Ok(Verdict::new(code, ""));
    }
    let outcome = if tx.is_blocked_by_any(sender)? { Code::AcceptedForSome } else { Code::Accepted };
    let stream = StreamId::Broadcast;
    let seq = tx.append(stream, sender, now_ms, &Bytes::copy_from_slice(text.as_bytes()))?;
    Ok(Verdict { effect: Effect::Stored { stream, seq }, ..Verdict::new(outcome, "") })
}

fn set_block(tx: &mut dyn Tx, sender: AccountId, typed: &str, on: bool) -> Result<Verdict> {
    let Some(target) = find(tx, typed)? else { return Ok(Verdict::new(Code::InvalidUser, "")) };
    if target.id == sender {
        return Ok(Verdict::new(Code::Self_, &target.name));
    }
    if !tx.set_block(sender, target.id, on)? {
        let code = if on { Code::AlreadyBlocked } else { Code::NotBlocked };
        return Ok(Verdict::new(code, &target.name));
    }
    if on {
        // What was held back stays away, even if the block is lifted before it would have been delivered.
        tx.hide(sender, target.id)?;
    }
    let effect = Effect::Block { blocked: target.id, on };
    Ok(Verdict { effect, ..Verdict::new(Code::Accepted, &target.name) })
}
