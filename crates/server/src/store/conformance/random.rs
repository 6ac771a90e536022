//! The same random history on the store in memory and on SQLite: all reads must agree all the time.

use bytes::Bytes;
use proptest::prelude::*;

use super::super::{
    AccountId, DEVICES_MAX, Ended, Failures, InvitationId, NewInvitation, NewName, NewSession, Outcome,
    Result, Secret, SessionId, Store, StoreError, StreamId, Tx,
};
use super::{Folder, memory, new_account, write};

/// Accounts, devices, names and so on are drawn from this many.
const FEW: u8 = 5;

#[derive(Clone, Debug)]
enum Op {
    AddAccount(u8),
    Password(u8),
    LastSeen(u8, i64),
    Append { to: u8, from: u8, sent_ms: i64, len: usize },
    Cursor(u8, u64),
    Hide(u8, u8),
    TrimInboxes(i64, usize),
    TrimBroadcast(i64, usize),
    Outcomes(u8, u8, u8),
    Block(u8, u8, bool),
    AddSession { of: u8, background: bool, now_ms: i64 },
    SaveSession { id: i64, ended: Option<bool>, online: bool, floor: u64, hole: Option<(u64, Option<u64>)> },
    TrimSessions(i64, usize),
    DrawBack(i64, i64),
    AddDevices(u8, u8, i64),
    Failures { name: u8, device: u8, count: u32, now_ms: i64 },
    FailedLogins(u8, u8),
    TakeFailedLogins(u8, u8),
    Disable(u8, bool),
    Rename(u8, u8),
    Delete(u8),
    ClearFailures(u8),
    Epoch(u8),
    Invite { code: u8, uses: u32, expires_ms: Option<i64> },
    UseInvitation(u8, i64),
    Uninvite(u8),
    TrimInvitations(i64, usize),
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Op>),
    Fail(Vec<Op>),
    Reopen,
    Crash,
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..FEW;
    let ms = || 0..40_i64;
    let max = || 0..12_usize;
    let hole = proptest::option::of((0..20_u64, proptest::option::of(0..25_u64)));
    prop_oneof![
        4 => who().prop_map(Op::AddAccount),
        1 => who().prop_map(Op::Password),
        1 => (who(), ms()).prop_map(|(who, at)| Op::LastSeen(who, at)),
        24 => (0..=FEW, who(), ms(), 0..9_usize)
            .prop_map(|(to, from, sent_ms, len)| Op::Append { to, from, sent_ms, len }),
        6 => (who(), 0..25_u64).prop_map(|(who, seq)| Op::Cursor(who, seq)),
        3 => (who(), who()).prop_map(|(inbox, sender)| Op::Hide(inbox, sender)),
        2 => (ms(), max()).prop_map(|(before, max)| Op::TrimInboxes(before, max)),
        // Whose go first is open, so all of them.
        2 => Just(Op::TrimInboxes(i64::MAX, 1_000)),
        2 => (ms(), max()).prop_map(|(before, max)| Op::TrimBroadcast(before, max)),
        4 => (who(), who(), 1..70_u8).prop_map(|(who, name, count)| Op::Outcomes(who, name, count)),
        4 => (who(), who(), any::<bool>()).prop_map(|(who, whom, on)| Op::Block(who, whom, on)),
        3 => (who(), proptest::bool::weighted(0.3), ms())
            .prop_map(|(of, background, now_ms)| Op::AddSession { of, background, now_ms }),
        4 => (1..8_i64, proptest::option::of(any::<bool>()), any::<bool>(), 0..20_u64, hole).prop_map(
            |(id, ended, online, floor, hole)| Op::SaveSession { id, ended, online, floor, hole }
        ),
        1 => (ms(), max()).prop_map(|(before, max)| Op::TrimSessions(before, max)),
        1 => (ms(), ms()).prop_map(|(past, until)| Op::DrawBack(past, until)),
        1 => (who(), 1..40_u8, ms()).prop_map(|(who, count, now)| Op::AddDevices(who, count, now)),
        4 => (0..2 * FEW, 0..2_u8, 0..3_u32, ms())
            .prop_map(|(name, device, count, now_ms)| Op::Failures { name, device, count, now_ms }),
        1 => (who(), any::<u8>()).prop_map(|(who, device)| Op::FailedLogins(who, device)),
        1 => (who(), any::<u8>()).prop_map(|(who, device)| Op::TakeFailedLogins(who, device)),
        1 => (who(), any::<bool>()).prop_map(|(who, disabled)| Op::Disable(who, disabled)),
        1 => (who(), who()).prop_map(|(who, name)| Op::Rename(who, name)),
        1 => who().prop_map(Op::Delete),
        1 => (0..2 * FEW).prop_map(Op::ClearFailures),
        1 => any::<u8>().prop_map(Op::Epoch),
        2 => (who(), 1..4_u32, proptest::option::of(ms()))
            .prop_map(|(code, uses, expires_ms)| Op::Invite { code, uses, expires_ms }),
        4 => (who(), ms()).prop_map(|(code, now_ms)| Op::UseInvitation(code, now_ms)),
        1 => who().prop_map(Op::Uninvite),
        1 => (ms(), max()).prop_map(|(now_ms, max)| Op::TrimInvitations(now_ms, max)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let ops = || proptest::collection::vec(op(), 1..12);
    prop_oneof![
        8 => ops().prop_map(Step::Commit),
        2 => ops().prop_map(Step::Fail),
        1 => Just(Step::Reopen),
        2 => Just(Step::Crash),
    ]
}

fn account(n: u8) -> AccountId {
    AccountId(i64::from(n) + 1)
}

fn stream(n: u8) -> StreamId {
    if n == FEW { StreamId::Broadcast } else { StreamId::Inbox(account(n)) }
}

/// Does one thing and tells what it answered.
fn apply(tx: &mut dyn Tx, op: &Op, token: u64) -> Result<String> {
    let mut token_hash = [0; 32];
    token_hash[..8].copy_from_slice(&token.to_be_bytes());
    Ok(match *op {
        Op::AddAccount(n) => format!("{:?}", tx.add_account(&new_account(&format!("n{n}")))?),
        Op::Password(n) => format!("{:?}", tx.set_password(account(n), &Secret(token.to_string()))?),
        Op::LastSeen(n, ms) => format!("{:?}", tx.set_last_seen(account(n), ms)?),
        Op::Append { to, from, sent_ms, len } => {
            if to < FEW && tx.account(account(to))?.is_none() {
                return Ok(String::new());
            }
            tx.append(stream(to), account(from), sent_ms, &vec![b'x'; len].into())?.to_string()
        }
        Op::Cursor(n, seq) => format!("{:?}", tx.set_cursor(account(n), seq)?),
        Op::Hide(inbox, sender) => format!("{:?}", tx.hide(account(inbox), account(sender))?),
        Op::TrimInboxes(before_ms, max) => tx.trim_inboxes(before_ms, max)?.to_string(),
        Op::TrimBroadcast(before_ms, max) => tx.trim_broadcast(before_ms, max)?.to_string(),
        Op::Outcomes(n, name, count) => {
            let outbox = tx.outbox(account(n), &[name])?;
            for code in 0..count {
                tx.add_outcome(outbox, Outcome { code: code % 16, hash: [code; 4] })?;
            }
            format!("{outbox:?} {:?}", tx.outbox_state(outbox)?)
        }
        Op::Block(_, whom, _) if tx.account(account(whom))?.is_none() => String::new(),
        Op::Block(n, whom, on) => tx.set_block(account(n), account(whom), on)?.to_string(),
        Op::AddSession { of, background, now_ms } => {
            format!(
                "{:?}",
                tx.add_session(&NewSession { account: account(of), background, token_hash, now_ms })?
            )
        }
        Op::SaveSession { id, ended, online, floor, hole } => {
            let Some(mut row) = tx.session(SessionId(id))? else { return Ok(String::new()) };
            row.ended = ended.map(|timed_out| if timed_out { Ended::TimedOut } else { Ended::LoggedOut });
            (row.online, row.broadcast_floor, row.broadcast_hole) = (online, floor, hole);
            row.generation += 1;
            format!("{:?}", tx.save_session(&row)?)
        }
        Op::DrawBack(past_ms, until_ms) => tx.draw_back_times(past_ms, until_ms)?.to_string(),
        Op::TrimSessions(before_ms, max) => tx.trim_sessions(before_ms, max)?.to_string(),
        Op::AddDevices(n, count, now_ms) => {
            let key = |i: u8| [(token as u8).wrapping_mul(7).wrapping_add(i)];
            (0..count).try_for_each(|i| tx.add_device(account(n), &key(i), now_ms))?;
            String::new()
        }
        Op::Failures { name, device, count, now_ms } => {
            let failures = Failures { count, blocked_until_ms: now_ms * i64::from(count) };
            let device = vec![device; usize::from(device)];
            format!("{:?}", tx.set_failures(&format!("n{name}"), &device, failures, now_ms)?)
        }
        Op::FailedLogins(n, device) => {
            let devices = (0..DEVICES_MAX as u8 / 2).map(|i| [device.wrapping_add(i)]);
            devices.into_iter().try_for_each(|device| tx.count_failed_login(account(n), &device))?;
            String::new()
        }
        Op::TakeFailedLogins(n, device) => tx.take_failed_logins(account(n), &[device])?.to_string(),
        Op::Disable(n, disabled) => format!("{:?}", tx.set_disabled(account(n), disabled)?),
        Op::Rename(n, name) => {
            let key = format!("n{name}");
            let name = NewName { name: token.to_string(), skeleton: format!("~{key}"), key };
            tx.rename(account(n), &name)?.to_string()
        }
        Op::Delete(n) => format!("{:?}", tx.delete_account(account(n))?),
        Op::ClearFailures(n) => tx.clear_failures(&format!("n{n}"))?.to_string(),
        Op::Epoch(name) => format!("{:?}", tx.set_epoch(&[name])?),
        Op::Invite { code, uses, expires_ms } => {
            let code_hash = [code; 32];
            // Codes are unique, so whatever is left of an earlier one is used first.
            while tx.use_invitation(&code_hash, i64::MIN)?.is_some() {}
            let note = token.to_string();
            format!(
                "{:?}",
                tx.add_invitation(&NewInvitation { code_hash, uses, expires_ms, made_ms: 1, note })?
            )
        }
        Op::UseInvitation(code, now_ms) => format!("{:?}", tx.use_invitation(&[code; 32], now_ms)?),
        Op::Uninvite(id) => tx.remove_invitation(InvitationId(i64::from(id)))?.to_string(),
        Op::TrimInvitations(now_ms, max) => tx.trim_invitations(now_ms, max)?.to_string(),
    })
}

/// Everything that can be read beside the writer.
fn committed(store: &dyn Store) -> Result<Vec<String>> {
    let mut seen = vec![format!("{:?} {:?}", store.epoch()?, store.online_sessions()?)];
    let streams: Vec<StreamId> = (0..=FEW).map(stream).collect();
    let accounts: Vec<AccountId> = (0..FEW).map(account).collect();
    seen.push(format!("{:?} {:?}", store.heads(&streams)?, store.names(&accounts)?));
    let (listed, sessions) = (store.accounts("", 100)?, store.sessions(SessionId(0), 100)?);
    seen.push(format!("{:?}", store.invitations(InvitationId(0), 100)?));
    seen.push(format!("{listed:?} {sessions:?} {:?}", store.accounts("n1", 2)?));
    seen.push(format!("{:?} {:?} {:?}", store.seen_since(0)?, store.seen_since(1)?, store.seen_since(20)?));
    for stream in streams {
        let all = store.entries(stream, 0, usize::MAX, usize::MAX)?;
        seen.push(format!("{stream:?} {all:?} {:?}", store.entries(stream, 2, 3, 9)?));
    }
    for n in 0..FEW {
        let (id, key) = (account(n), format!("n{n}"));
        seen.push(format!(
            "{:?} {:?}",
            store.account(id)?.map(|a| (a.password.0.clone(), a)),
            store.blocks_of(id)?
        ));
        seen.push(format!("{:?} {:?}", store.account_by_key(&key)?, store.blockers_of(id)?));
        seen.push(format!("{:?}", store.skeleton_exists(&format!("~{key}"))?));
    }
    Ok(seen)
}

/// Everything that can be read in a transaction.
fn inside(tx: &mut dyn Tx) -> Result<Vec<String>> {
    let mut seen = vec![format!("{}", tx.head(StreamId::Broadcast)?)];
    for n in 0..2 * FEW {
        let key = format!("n{n}");
        seen.push(format!("{:?} {:?}", tx.failures(&key, &[])?, tx.failures(&key, &[1])?));
    }
    for n in 0..FEW {
        let id = account(n);
        seen.push(format!("{:?} {:?}", tx.account(id)?, tx.account_by_key(&format!("n{n}"))?));
        seen.push(format!("{:?} {:?}", tx.head(StreamId::Inbox(id))?, tx.sessions_of(id)?));
        seen.push(format!("{:?} {}", tx.is_blocked_by_any(id)?, tx.cursor(id)?));
        let devices: Result<Vec<bool>> =
            (0..=255).step_by(15).map(|key| tx.device_known(id, &[key])).collect();
        seen.push(format!("{:?}", devices?));
        for other in (0..FEW).map(account) {
            let (counted, blocks) = (tx.unread_counted(id, other)?, tx.blocks(id, other)?);
            seen.push(format!("{} {counted:?} {blocks:?}", tx.unread(id)?));
        }
    }
    for id in 0..12 {
        seen.push(format!("{:?}", tx.session(SessionId(id))?));
    }
    Ok(seen)
}

/// Counters must be what counting gives.
fn check_counters(store: &dyn Store) {
    for n in 0..FEW {
        let cursor = write(store, |tx| tx.cursor(account(n)));
        let above = store.entries(stream(n), cursor, usize::MAX, usize::MAX).unwrap();
        for sender in (0..FEW).map(account) {
            let unread = write(store, |tx| tx.unread_counted(account(n), sender));
            assert_eq!(write(store, |tx| tx.unread(account(n))), above.len() as u64);
            assert_eq!(unread.bytes, above.iter().map(|entry| entry.text.len() as u64).sum::<u64>());
            assert_eq!(unread.of_sender, above.iter().filter(|e| e.sender == Some(sender)).count() as u64);
        }
    }
}

fn run(store: &dyn Store, ops: &[Op], token: u64, fails: bool) -> Vec<String> {
    let mut answers = Vec::new();
    let result = store.write(&mut |tx| {
        for (token, op) in (token..).zip(ops) {
            answers.push(apply(tx, op, token)?);
        }
        answers.extend(inside(tx)?);
        if fails { Err(StoreError::Full) } else { Ok(()) }
    });
    assert_eq!(result.is_err(), fails, "{result:?}");
    answers.extend(write(store, inside));
    answers.extend(committed(store).unwrap());
    answers
}

fn compare(steps: &[Step], remembered_max: usize, journal_kept: u32) {
    let (memory, mut folder) = (memory(), Folder::new());
    let mut sqlite = folder.open_keeping(remembered_max, journal_kept);
    for store in [&memory as &dyn Store, &sqlite] {
        write(store, |tx| tx.set_epoch(b"the same"));
    }
    for (step, token) in steps.iter().zip((0..).step_by(100)) {
        let (ops, fails) = match step {
            Step::Commit(ops) => (ops.as_slice(), false),
            Step::Fail(ops) => (ops.as_slice(), true),
            Step::Reopen => {
                drop(sqlite);
                sqlite = folder.open_keeping(remembered_max, journal_kept);
                (&[][..], false)
            }
            Step::Crash => {
                folder = folder.torn();
                sqlite = folder.open_keeping(remembered_max, journal_kept);
                (&[][..], false)
            }
        };
        let (expected, found) = (run(&memory, ops, token, fails), run(&sqlite, ops, token, fails));
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected, found, "after {step:?}");
        }
        assert_eq!(expected.len(), found.len());
        check_counters(&memory);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_does_as_memory(
        steps in proptest::collection::vec(step(), 1..30),
        remembered_max in prop_oneof![Just(0), Just(4), Just(50_000)],
        journal_kept in prop_oneof![Just(0), Just(3), Just(512)],
    ) {
        compare(&steps, remembered_max, journal_kept);
    }
}

#[test]
fn texts_are_kept_as_they_are() {
    let (memory, folder) = (memory(), Folder::new());
    let sqlite = folder.open(0);
    let text = Bytes::from(
        "nul \0, newline \n, \u{1F600}, no utf-8: "
            .to_owned()
            .into_bytes()
            .into_iter()
            .chain([0xff, 0xfe])
            .collect::<Vec<u8>>(),
    );
    for store in [&memory as &dyn Store, &sqlite] {
        write(store, |tx| tx.append(StreamId::Broadcast, account(0), 1, &text));
        assert_eq!(store.entries(StreamId::Broadcast, 0, 1, 1).unwrap()[0].text, text);
    }
}
