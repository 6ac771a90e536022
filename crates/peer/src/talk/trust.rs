//! Whether a key is believed, and `verify`.

use crate::keys::{Trust, safety_number};

use super::event::{Effect, News, TalkError};
use super::{Other, TALKS_MAX, Talks};

impl Talks {
    /// A key was introduced as this user's.
    pub(super) fn judge(&mut self, user: &str, name: &str, key: [u8; 32]) -> Trust {
        let last = self.keys.last(user);
        let trust = self.keys.introduce(user, key);
        if last != self.keys.last(user) {
            self.effects.push(Effect::SaveKeys);
        }
        if matches!(trust, Trust::New | Trust::Refused) {
            self.tell(News::NewKey { user: name.to_owned(), refused: trust == Trust::Refused });
        }
        trust
    }

    /// `verify <user>`, `verify <user> ok`
    pub(super) fn verify(&mut self, typed: &str, confirm: bool) {
        let user = if let Other::User(user) = self.other(typed) { user } else { String::new() };
        let Some((key, verified)) = self.keys.last(&user) else {
            return self.error(TalkError::NoKey(typed.to_owned()));
        };
        let name = self.talks.get(&user).map_or(typed, |talk| &talk.user).to_owned();
        // Comparing takes minutes: another key may have come meanwhile, and that one nobody has compared.
        let changed = self.compared.get(&user).is_some_and(|shown| *shown != key);
        if confirm && !changed {
            self.keys.verify(&user);
            self.effects.extend((!verified).then_some(Effect::SaveKeys));
            self.tell(News::Verified(name));
        } else {
            let number = safety_number(&self.key, &key);
            if self.compared.len() >= TALKS_MAX {
                self.compared.clear();
            }
            self.compared.insert(user, key);
            self.tell(News::SafetyNumber { user: name, number, verified });
        }
    }
}
