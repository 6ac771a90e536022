-- What a transaction changed of outboxes and cursors, in one row instead of one for each of them: the rows of `outbox`
-- and `account` follow some hundred transactions later. Whoever reads `outbox.last_number`, `outbox.outcomes` or
-- `account.cursor` has to look here first.
CREATE TABLE journal (
    id      INTEGER PRIMARY KEY,
    changes BLOB NOT NULL
) STRICT;
