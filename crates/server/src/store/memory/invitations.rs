//! Invitations to register.

use super::super::{Invitation, InvitationId, NewInvitation, Result, StoreError};
use super::tx::MemoryTx;

impl MemoryTx<'_> {
    pub(super) fn note_invitation(&mut self, new: &NewInvitation) -> Result<InvitationId> {
        if self.data.invitation_codes.contains_key(&new.code_hash) {
            return Err(StoreError::Database("the code of an invitation is not new".to_owned()));
        }
        let id = InvitationId(self.next_id("invitation"));
        let (uses_left, expires_ms, made_ms) = (new.uses, new.expires_ms, new.made_ms);
        let row = Invitation { id, uses_left, expires_ms, made_ms, note: new.note.clone() };
        self.put(|data| &mut data.invitation_codes, new.code_hash, Some(id));
        self.put(|data| &mut data.invitations, id, Some(row));
        Ok(id)
    }

    pub(super) fn take_use(&mut self, code_hash: &[u8; 32], now_ms: i64) -> Option<InvitationId> {
        let mut row = self.data.invitation(code_hash).filter(|row| row.is_good(now_ms))?;
        let id = row.id;
        if row.uses_left == 1 {
            self.forget_invitation(id);
        } else {
            row.uses_left -= 1;
            self.put(|data| &mut data.invitations, id, Some(row));
        }
        Some(id)
    }

    pub(super) fn forget_invitation(&mut self, id: InvitationId) -> bool {
        let code = self.data.invitation_codes.iter().find(|(_, of)| **of == id).map(|(code, _)| *code);
        let Some(code) = code else { return false };
        self.put(|data| &mut data.invitation_codes, code, None);
        self.put(|data| &mut data.invitations, id, None);
        true
    }

    pub(super) fn forget_expired(&mut self, now_ms: i64, max: usize) -> usize {
        let expires = |row: &Invitation| row.expires_ms.filter(|expires_ms| *expires_ms <= now_ms);
        let rows = self.data.invitations.values();
        let mut expired: Vec<_> = rows.filter_map(|row| Some((expires(row)?, row.id))).collect();
        expired.sort_unstable();
        expired.truncate(max);
        for (_, id) in &expired {
            self.forget_invitation(*id);
        }
        expired.len()
    }
}
