-- Invitations to register. A row goes with its last use. code_hash: SHA-256 of the code, which is kept nowhere.
-- expires_ms NULL: never.
CREATE TABLE invitation (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    code_hash  BLOB NOT NULL UNIQUE,
    made_ms    INTEGER NOT NULL,
    expires_ms INTEGER,
    uses_left  INTEGER NOT NULL,
    note       TEXT NOT NULL
) STRICT;
CREATE INDEX invitation_expires ON invitation (expires_ms, id) WHERE expires_ms IS NOT NULL;
