-- Version 2: background workers, dead letters, events.

-- Sessions that have messages. From `due` (ms since the epoch) on a worker may take them: at once
-- when the session is free, else when the open turn's lease runs out, or a worker's claim.
CREATE TABLE ready (
    session INTEGER PRIMARY KEY,
    due     INTEGER NOT NULL,
    worker  TEXT NOT NULL DEFAULT ''
);

CREATE INDEX ready_due ON ready (due);

INSERT INTO ready (session, due) SELECT session, 0 FROM sessions WHERE queued > 0;

-- Dead letters, one a turn; their names are in the order of time.
CREATE TABLE letters (
    letter     TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    turn_id    TEXT NOT NULL,
    at         INTEGER NOT NULL,
    content    BLOB NOT NULL,
    UNIQUE (session_id, turn_id)
) WITHOUT ROWID;

-- What running turns tell: the events from number `first` up to, and without, `next`, of the last
-- attempt. They outlive their session, but not the time `expires`.
CREATE TABLE logs (
    log        INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    turn_id    TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    next       INTEGER NOT NULL,
    ended      INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    UNIQUE (session_id, turn_id)
);

CREATE INDEX expiring_logs ON logs (expires);

CREATE TABLE events (
    log     INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (log, number)
) WITHOUT ROWID;
