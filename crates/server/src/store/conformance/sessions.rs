//! Sessions.

use super::super::{AccountId, Ended, NewSession, SessionId, SessionRow, Store, StreamId};
use super::{fail, people, send, write};

fn new(account: AccountId, token: u8, now_ms: i64) -> NewSession {
    NewSession { account, background: false, token_hash: [token; 32], now_ms }
}

fn online(store: &dyn Store) -> Vec<SessionId> {
    store.online_sessions().unwrap().iter().map(|row| row.id).collect()
}

pub(super) fn rows_come_back(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    send(store, StreamId::Broadcast, bob, &["a", "b"]);
    let row = write(store, |tx| tx.add_session(&new(ann, 1, 7)));
    let expected = SessionRow {
        id: row.id,
        account: ann,
        background: false,
        generation: 1,
        online: true,
        ended: None,
        used_ms: 7,
        broadcast_floor: 2,
        broadcast_hole: None,
    };
    assert_eq!(row, expected);
    let background = write(store, |tx| tx.add_session(&NewSession { background: true, ..new(ann, 2, 8) }));
    assert!(background.background && !background.online);
    assert_eq!(online(store), [row.id]);
    for ended in [Ended::LoggedOut, Ended::TimedOut, Ended::Replaced, Ended::PasswordChanged] {
        for broadcast_hole in [None, Some((3, None)), Some((3, Some(4)))] {
            let changed = SessionRow {
                background: true,
                generation: 5,
                ended: Some(ended),
                used_ms: 99,
                broadcast_floor: 1,
                broadcast_hole,
                ..row.clone()
            };
            write(store, |tx| tx.save_session(&SessionRow { account: bob, ..changed.clone() }));
            assert_eq!(write(store, |tx| tx.session(row.id)), Some(changed.clone()));
            assert_eq!(store.online_sessions().unwrap(), [changed]);
        }
    }
    write(store, |tx| tx.save_session(&SessionRow { id: SessionId(99), ..row.clone() }));
    assert_eq!(write(store, |tx| tx.session(SessionId(99))), None);
}

pub(super) fn tokens_are_unique(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    write(store, |tx| tx.add_session(&new(ann, 1, 1)));
    assert!(store.write(&mut |tx| tx.add_session(&new(bob, 1, 1)).map(|_| ())).is_err());
    assert_eq!(online(store).len(), 1);
}

pub(super) fn sessions_are_found(store: &dyn Store) {
    let [ann, bob] = people(store, ["ann", "bob"]);
    let rows = write(store, |tx| {
        (1..=4).map(|n| tx.add_session(&new(if n < 4 { ann } else { bob }, n, 1))).collect()
    });
    let rows: Vec<SessionRow> = rows;
    let ended = SessionRow { online: false, ended: Some(Ended::TimedOut), ..rows[1].clone() };
    write(store, |tx| tx.save_session(&ended));
    let of_ann = write(store, |tx| tx.sessions_of(ann));
    assert_eq!(of_ann, [rows[0].clone(), rows[2].clone()]);
    assert_eq!(write(store, |tx| tx.session_by_token(&[2; 32])), Some(ended));
    assert_eq!(write(store, |tx| tx.session_by_token(&[9; 32])), None);
    assert_eq!(write(store, |tx| tx.session(SessionId(0))), None);
    assert_eq!(online(store), [rows[0].id, rows[2].id, rows[3].id]);
}

pub(super) fn idle_sessions_go(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let rows: Vec<SessionRow> =
        write(store, |tx| (1..=5_u8).map(|n| tx.add_session(&new(ann, n, 100 - i64::from(n)))).collect());
    for (row, ended) in rows[..4].iter().zip([None, Some(Ended::LoggedOut), None, None]) {
        write(store, |tx| tx.save_session(&SessionRow { online: false, ended, ..row.clone() }));
    }
    // Used at 99, 98, 97, 96; the last, at 95, is online.
    assert_eq!(write(store, |tx| tx.trim_sessions(96, 10)), 0);
    assert_eq!(write(store, |tx| tx.trim_sessions(99, 1)), 1);
    assert_eq!(write(store, |tx| tx.session(rows[3].id)), None);
    assert_eq!(write(store, |tx| tx.session_by_token(&[4; 32])), None);
    assert_eq!(write(store, |tx| tx.trim_sessions(99, 10)), 2);
    let left = write(store, |tx| tx.sessions_of(ann));
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [rows[0].id, rows[4].id]);
    let next = write(store, |tx| tx.add_session(&new(ann, 4, 1)));
    assert!(next.id > rows[4].id, "row numbers are not used again");
    write(store, |tx| tx.save_session(&SessionRow { online: false, used_ms: 1, ..next.clone() }));
    write(store, |tx| tx.trim_sessions(2, 10));
    let after = write(store, |tx| tx.add_session(&new(ann, 4, 1)));
    assert!(after.id > next.id, "nor is the last one");
}

pub(super) fn a_failed_transaction_leaves_sessions(store: &dyn Store) {
    let [ann] = people(store, ["ann"]);
    let row = write(store, |tx| tx.add_session(&new(ann, 1, 1)));
    fail(store, |tx| {
        tx.save_session(&SessionRow { online: false, used_ms: 0, ..row.clone() })?;
        assert_eq!(tx.trim_sessions(1, 9)?, 1);
        assert_eq!(tx.add_session(&new(ann, 1, 1))?.generation, 1);
        Ok(())
    });
    assert_eq!(store.online_sessions().unwrap(), vec![row.clone()]);
    assert_eq!(write(store, |tx| tx.session_by_token(&[1; 32])), Some(row));
}
