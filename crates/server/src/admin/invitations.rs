//! Invitations to register: made, listed, taken back.

use hobnob_protocol::{
    invitation::{Code, Invitation},
    text,
};

use super::{
    Answer, Gone, Replies,
    wire::{self, Done, Made, Password, Reason, Refused, Reply},
};
use crate::{
    handler::login::sha256,
    node::{Node, random},
    store::{InvitationId, NewInvitation},
};

/// Bytes of a note.
const NOTE_BYTES_MAX: usize = 1024;
/// Rows that are read at once.
const PAGE: usize = 500;

/// What an invitation is to be.
pub(super) struct Wish {
    pub(super) uses: u32,
    pub(super) lifetime_s: Option<u64>,
    pub(super) note: String,
}

/// Makes one. Its code is in the answer, and nowhere else.
pub(super) async fn invite(node: &Node, fingerprint: &str, wish: Wish) -> Answer {
    let Wish { uses, lifetime_s, note } = wish;
    if uses == 0 || lifetime_s == Some(0) {
        return Err(Refused::new(Reason::BadRequest, "An invitation is good for something"));
    }
    text::check(&note).map_err(|error| Refused::new(Reason::TextRefused, error.to_string()))?;
    if note.len() > NOTE_BYTES_MAX {
        return Err(Refused::new(Reason::TextRefused, "A note has 1024 bytes at most"));
    }
    let (code, made_ms) = (Code(random(&*node.world)), node.world.now_ms());
    let expires_ms = lifetime_s.map(|seconds| {
        made_ms.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000))
    });
    let new = NewInvitation { code_hash: sha256(&code.0), uses, expires_ms, made_ms, note };
    let id = node.writer.run(move |tx| tx.add_invitation(&new)).await?.0;
    // Without TLS there is no key to prove.
    let key = (!fingerprint.is_empty()).then(|| fingerprint.to_owned());
    let link = Invitation { code: code.clone(), key };
    let made = Made {
        id,
        code: Password(code.to_string()),
        link: Password(link.to_string()),
        uses,
        expires_ms,
        registration: node.policy.get().registration.word().to_owned(),
    };
    Ok(Done { invitation: Some(Box::new(made)), ..Done::default() })
}

/// Every one that is good, in the order they were made.
pub(super) async fn list(node: &Node, replies: &mut impl Replies) -> Result<Answer, Gone> {
    let mut after = InvitationId(0);
    loop {
        let from = after;
        let page = match node.reader.run(move |store| store.invitations(from, PAGE)).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error.into())),
        };
        let Some(last) = page.last() else { return Ok(Ok(Done::default())) };
        after = last.id;
        let now_ms = node.world.now_ms();
        for one in page.into_iter().filter(|one| one.is_good(now_ms)) {
            let row = wire::Invitation {
                id: one.id.0,
                uses_left: one.uses_left,
                expires_ms: one.expires_ms,
                made_ms: one.made_ms,
                note: one.note,
            };
            replies.reply(&Reply::Invitation(row)).await?;
        }
    }
}

/// Takes one back. Accounts that were made with it stay.
pub(super) async fn uninvite(node: &Node, id: i64) -> Answer {
    if !node.writer.run(move |tx| tx.remove_invitation(InvitationId(id))).await? {
        return Err(Refused::new(Reason::NoSuchInvitation, "There is no such invitation (any more)"));
    }
    Ok(Done { id: Some(id), ..Done::default() })
}
