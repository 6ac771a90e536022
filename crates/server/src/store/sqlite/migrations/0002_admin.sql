-- What the keeper of a server does to accounts.

ALTER TABLE account ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;

-- Names of accounts that are gone: what they sent stays with those who have it. Numbers of accounts are never given
-- again, so none of this is anybody else's.
CREATE TABLE former (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;
