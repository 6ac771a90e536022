//! Whether a database is whole: what SQLite can tell of its file, and what must hold between its rows.
//!
//! Only reads, in one transaction, so that it can be done beside a running server; until it is over, the server's log
//! cannot be emptied. Rows of cursors and outboxes that are behind what the journal says are whole by themselves.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::super::{AccountId, OUTCOMES_KEPT, Result, StreamId};
use super::{journal, open, rows, schema};

/// Complaints of SQLite that are repeated to the reader; after so many the next tells nothing new.
const COMPLAINTS_MAX: usize = 10;

/// The step of the schema that brought the journal.
const JOURNAL_SINCE: usize = 3;

/// The step of the schema that brought invitations.
const INVITATIONS_SINCE: usize = 4;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Steps of the schema that were taken.
    pub schema: usize,
    /// Accounts.
    pub accounts: u64,
    /// Entries of all streams: messages that wait, or are kept.
    pub entries: u64,
    /// Sessions, ended ones too.
    pub sessions: u64,
    /// What is wrong; nothing if all is well.
    pub findings: Vec<Finding>,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check found it, a word that does not change between versions.
    pub check: &'static str,
    /// How many there are; of some kinds only the first are counted.
    pub count: u64,
    /// What it is, with the first of them.
    pub text: String,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

/// A rule between rows. The statement gives how many rows break it, and the first of them.
struct Rule {
    check: &'static str,
    /// `{}` stands for the first.
    says: &'static str,
    sql: &'static str,
}

const fn rule(check: &'static str, says: &'static str, sql: &'static str) -> Rule {
    Rule { check, says, sql }
}

/// What must hold in every database of the schema's second step and later.
const RULES: &[Rule] = &[
    rule(
        "account-numbers",
        "accounts whose number could be given again, the first {}",
        "SELECT count(*), min(id) FROM (SELECT id FROM account UNION ALL SELECT id FROM former)
         WHERE id < 1 OR id > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'account'), 0)",
    ),
    rule(
        "former-accounts",
        "accounts that are also noted as deleted, the first {}",
        "SELECT count(*), min(id) FROM account WHERE id IN (SELECT id FROM former)",
    ),
    rule(
        "inbox-orphans",
        "entries in inboxes of no account, the first inbox is {}",
        "SELECT count(*), min(stream) FROM entry WHERE stream <> 0 AND stream NOT IN (SELECT id FROM account)",
    ),
    rule(
        "senders",
        "entries from who never was an account, the first sender is {}",
        "SELECT count(*), min(sender) FROM entry WHERE sender IS NOT NULL AND NOT (sender = -1 AND stream = 0)
             AND sender NOT IN (SELECT id FROM account) AND sender NOT IN (SELECT id FROM former)",
    ),
    rule(
        "hidden-entries",
        "entries hidden by a block that still have a text, the first in stream {}",
        "SELECT count(*), min(stream) FROM entry WHERE sender IS NULL AND length(text) > 0",
    ),
    rule(
        "inbox-density",
        "inboxes with entries missing in between, the first {}",
        "SELECT count(*), min(stream) FROM
             (SELECT stream FROM entry WHERE stream <> 0 GROUP BY stream
              HAVING min(seq) < 1 OR max(seq) - min(seq) + 1 <> count(*))",
    ),
    rule(
        "broadcast-numbers",
        "broadcast entries with an impossible number, the first {}",
        "SELECT count(*), min(seq) FROM entry WHERE stream = 0 AND seq < 1",
    ),
    rule(
        "cursors",
        "accounts with an impossible cursor, the first {}",
        "SELECT count(*), min(id) FROM account WHERE cursor < 0",
    ),
    rule(
        "outbox-orphans",
        "outboxes of no account, the first {}",
        "SELECT count(*), min(id) FROM outbox WHERE account NOT IN (SELECT id FROM account)",
    ),
    rule(
        "outbox-outcomes",
        "outboxes whose outcomes do not fit their last number, the first {}",
        "SELECT count(*), min(id) FROM outbox
         WHERE last_number < 0 OR length(outcomes) <> 5 * min(last_number, ?1)",
    ),
    rule(
        "session-orphans",
        "sessions of no account, the first {}",
        "SELECT count(*), min(id) FROM session WHERE account NOT IN (SELECT id FROM account)",
    ),
    rule(
        "sessions",
        "sessions in an impossible state, the first {}",
        "SELECT count(*), min(id) FROM session WHERE length(token_hash) <> 32 OR generation < 1
             OR online AND (ended IS NOT NULL OR background) OR broadcast_floor < 0
             OR hole_from IS NULL AND hole_to IS NOT NULL OR hole_to < hole_from",
    ),
    rule(
        "block-orphans",
        "blocks by or of no account, the first by {}",
        "SELECT count(*), min(blocker) FROM block WHERE blocker = blocked
             OR blocker NOT IN (SELECT id FROM account) OR blocked NOT IN (SELECT id FROM account)",
    ),
    rule(
        "device-orphans",
        "devices of no account, the first of {}",
        "SELECT count(*), min(account) FROM device WHERE account NOT IN (SELECT id FROM account)",
    ),
    rule(
        "failure-orphans",
        "failed logins of no account, the first of {}",
        "SELECT count(*), min(account) FROM failed_login WHERE account NOT IN (SELECT id FROM account)",
    ),
    rule(
        "failure-names",
        "failures noted as of an account that is none, or the other way round",
        "SELECT count(*), '' FROM failure WHERE known <> (name IN (SELECT key FROM account))",
    ),
    rule(
        "meta",
        "of the two values that each database has are missing or impossible",
        "SELECT 2 - count(*), '' FROM meta WHERE name = 'epoch' AND typeof(value) = 'blob' AND length(value) = 16
             OR name = 'broadcast_floor' AND typeof(value) = 'integer' AND value >= 0",
    ),
    // A time, and two numbers for each stream.
    rule(
        "earlier-histories",
        "notes of earlier histories that cannot be read",
        "SELECT count(*), '' FROM meta WHERE name LIKE 'earlier:%'
             AND (typeof(value) <> 'blob' OR length(value) % 16 <> 8)",
    ),
];

/// What must hold beside that since there are invitations.
const INVITATION_RULES: &[Rule] = &[
    rule(
        "invitation-numbers",
        "invitations whose number could be given again, the first {}",
        "SELECT count(*), min(id) FROM invitation
         WHERE id < 1 OR id > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'invitation'), 0)",
    ),
    // One without a use left would have gone with the last.
    rule(
        "invitations",
        "invitations in an impossible state, the first {}",
        "SELECT count(*), min(id) FROM invitation
         WHERE length(code_hash) <> 32 OR uses_left NOT BETWEEN 1 AND 4294967295",
    ),
];

/// Looks at the database of a folder, beside its server if one runs.
///
/// # Errors
/// It cannot be opened, or is not one of ours. Damage is no error but a finding, wherever it can be told apart.
pub fn folder(dir: &Path) -> Result<Report> {
    let conn = open::reader(dir)?;
    database(&conn)
}

/// Looks at a database.
///
/// # Errors
/// As of [`folder`].
pub(super) fn database(conn: &Connection) -> Result<Report> {
    let snapshot = conn.unchecked_transaction()?;
    let mut report = Report { schema: 0, accounts: 0, entries: 0, sessions: 0, findings: Vec::new() };
    match look(&snapshot, &mut report) {
        // SQLite gave up in the middle.
        Err(rusqlite::Error::SqliteFailure(code, _)) if code.code == ErrorCode::DatabaseCorrupt => {
            report.findings.push(Finding { check: "file", count: 1, text: code.to_string() });
        }
        result => result?,
    }
    // What is damaged may be the very page that says whose it is.
    if report.findings.iter().all(|finding| finding.check != "file") {
        report.schema = schema::version(&snapshot)?;
        between_rows(&snapshot, report.schema, &mut report.findings)?;
    }
    Ok(report)
}

/// What needs no knowledge of what the rows mean. A database that is not ours has no such tables.
fn look(conn: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    file(conn, &mut report.findings)?;
    let count = |table| {
        let sql = format!("SELECT count(*) FROM {table}");
        conn.query_row(&sql, [], |row| row.get(0)).map(rows::uint)
    };
    let ours = "SELECT count(*) = 3 FROM sqlite_schema WHERE name IN ('account', 'entry', 'session')";
    if conn.query_row(ours, [], |row| row.get(0))? {
        report.accounts = count("account")?;
        report.entries = count("entry")?;
        report.sessions = count("session")?;
    }
    Ok(())
}

/// What SQLite finds: pages, order, indexes against their tables, types and uniqueness.
fn file(conn: &Connection, findings: &mut Vec<Finding>) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(&format!("PRAGMA integrity_check({COMPLAINTS_MAX})"))?;
    let complaints = statement.query_map([], |row| row.get::<_, String>(0))?;
    let complaints: Vec<String> = complaints.collect::<rusqlite::Result<_>>()?;
    let wrong = complaints.iter().filter(|complaint| *complaint != "ok");
    findings.extend(wrong.map(|text| Finding { check: "file", count: 1, text: text.clone() }));
    Ok(())
}

fn between_rows(conn: &Connection, schema: usize, findings: &mut Vec<Finding>) -> Result<()> {
    let newer = if schema >= INVITATIONS_SINCE { INVITATION_RULES } else { &[] };
    for Rule { check, says, sql } in RULES.iter().chain(newer) {
        let mut statement = conn.prepare(sql)?;
        if statement.parameter_count() == 1 {
            statement.raw_bind_parameter(1, rows::limit(OUTCOMES_KEPT))?;
        }
        let mut found = statement.raw_query();
        let Some(row) = found.next()? else { continue };
        let (count, first) = (rows::uint(row.get(0)?), row.get::<_, rusqlite::types::Value>(1)?);
        if count > 0 {
            findings.push(finding(check, count, &says.replace("{}", &shown(&first))));
        }
    }
    findings.extend(beginnings(conn, schema)?);
    findings.extend(broadcast(conn)?);
    if schema >= JOURNAL_SINCE {
        let damaged = journal::damaged(conn)?;
        findings
            .extend((damaged > 0).then(|| finding("journal", damaged, "rows of the journal cannot be read")));
    }
    Ok(())
}

fn finding(check: &'static str, count: u64, says: &str) -> Finding {
    Finding { check, count, text: format!("{count} {says}") }
}

fn shown(value: &rusqlite::types::Value) -> String {
    match value {
        rusqlite::types::Value::Integer(number) => number.to_string(),
        _ => "?".to_owned(),
    }
}

/// Only what its owner has is ever removed, as the row of the account says, or the journal before it.
fn beginnings(conn: &Connection, schema: usize) -> Result<Option<Finding>> {
    let cursors = if schema >= JOURNAL_SINCE { journal::cursors(conn)? } else { HashMap::new() };
    let mut statement = conn.prepare(
        "SELECT account.id, first FROM account
             JOIN (SELECT stream, min(seq) AS first FROM entry WHERE stream <> 0 GROUP BY stream) ON stream = account.id
         WHERE first > cursor + 1 ORDER BY account.id",
    )?;
    let found = statement.query_map([], |row| Ok((AccountId(row.get(0)?), rows::uint(row.get(1)?))))?;
    let found: Vec<(AccountId, u64)> = found.collect::<rusqlite::Result<_>>()?;
    let noted = |(id, first): &(AccountId, u64)| cursors.get(id).is_some_and(|cursor| *first <= cursor + 1);
    let without: Vec<_> = found.iter().filter(|inbox| !noted(inbox)).collect();
    Ok(without.first().map(|(first, _)| {
        let says = format!("inboxes without their first unread entries, the first {}", first.0);
        finding("inbox-beginnings", without.len() as u64, &says)
    }))
}

/// Broadcast entries that a session still needs must be there: all above its floor, or above its hole. What is in front
/// of a hole may be gone, because a session that goes offline twice has only its last hole noted. What was never
/// looked through for removal must be there, too.
fn broadcast(conn: &Connection) -> Result<Vec<Finding>> {
    let head = rows::head(conn, StreamId::Broadcast)?;
    let number = |sql: &str| -> Result<Option<u64>> {
        let found = conn.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).optional()?;
        Ok(found.flatten().map(rows::uint))
    };
    let floor = number("SELECT value FROM meta WHERE name = 'broadcast_floor'")?.unwrap_or(0);
    let needed = number(
        "SELECT min(iif(hole_from IS NULL, broadcast_floor, max(broadcast_floor, hole_to))) FROM session
         WHERE ended IS NULL AND background = 0",
    )?;
    let after = needed.unwrap_or(floor).min(floor).min(head);
    let mut there = conn.prepare("SELECT count(*) FROM entry WHERE stream = 0 AND seq > ?1")?;
    let there = rows::uint(there.query_row([rows::int(after)], |row| row.get(0))?);
    let mut findings = Vec::new();
    if there < head - after {
        let says = format!("broadcast entries are missing above number {after}");
        findings.push(finding("broadcast-density", head - after - there, &says));
    }
    let ahead = number(&format!("SELECT count(*) FROM session WHERE broadcast_floor > {head}"))?.unwrap_or(0);
    if ahead > 0 {
        findings.push(finding("broadcast-floors", ahead, "sessions are ahead of the last broadcast"));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests;
