-- Migrations are only ever added: what this file says has happened in somebody's database.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- The name of this database's history, and how far broadcast entries were removed.
INSERT INTO meta (name, value) VALUES ('epoch', randomblob(16)), ('broadcast_floor', 0);

CREATE TABLE account (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    key          TEXT NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    skeleton     TEXT NOT NULL,
    password     TEXT NOT NULL,
    cursor       INTEGER NOT NULL DEFAULT 0,
    last_seen_ms INTEGER NOT NULL DEFAULT 0,
    created_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX account_skeleton ON account (skeleton);
CREATE INDEX account_last_seen ON account (last_seen_ms);

-- All streams. 0 is broadcast, the others are the inboxes of the accounts with these numbers. A head is not
-- stored: it is the highest seq there is, or the cursor (broadcast: the floor) if that is higher.
-- A message costs one row at the end and one index entry.
CREATE TABLE entry (
    id      INTEGER PRIMARY KEY,
    stream  INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    sender  INTEGER,
    sent_ms INTEGER NOT NULL,
    text    BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX entry_place ON entry (stream, seq);

-- outcomes: the last ones up to last_number, oldest first, 5 bytes each (code, hash).
CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    account     INTEGER NOT NULL,
    name        BLOB NOT NULL,
    last_number INTEGER NOT NULL DEFAULT 0,
    outcomes    BLOB NOT NULL DEFAULT x'',
    UNIQUE (account, name)
) STRICT;

CREATE TABLE block (
    blocker INTEGER NOT NULL,
    blocked INTEGER NOT NULL,
    PRIMARY KEY (blocker, blocked)
) STRICT, WITHOUT ROWID;
CREATE INDEX block_blocked ON block (blocked, blocker);

-- ended: a reason, NULL while it is not. hole_from, hole_to: broadcast entries that are not for it; hole_to
-- NULL: still open.
CREATE TABLE session (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    account         INTEGER NOT NULL,
    background      INTEGER NOT NULL,
    token_hash      BLOB NOT NULL UNIQUE,
    generation      INTEGER NOT NULL,
    online          INTEGER NOT NULL,
    ended           INTEGER,
    used_ms         INTEGER NOT NULL,
    broadcast_floor INTEGER NOT NULL,
    hole_from       INTEGER,
    hole_to         INTEGER
) STRICT;
CREATE INDEX session_account ON session (account) WHERE ended IS NULL;
CREATE INDEX session_online ON session (id) WHERE online = 1;
CREATE INDEX session_used ON session (used_ms);

CREATE TABLE device (
    account INTEGER NOT NULL,
    key     BLOB NOT NULL,
    came_ms INTEGER NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

-- known: the name is an account's key.
CREATE TABLE failure (
    name             TEXT NOT NULL,
    device           BLOB NOT NULL,
    count            INTEGER NOT NULL,
    blocked_until_ms INTEGER NOT NULL,
    at_ms            INTEGER NOT NULL,
    known            INTEGER NOT NULL,
    PRIMARY KEY (name, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX failure_unknown ON failure (at_ms, name, device) WHERE known = 0;

CREATE TABLE failed_login (
    account INTEGER NOT NULL,
    device  BLOB NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;
