-- One file, all sessions. `PRAGMA application_id` says whose file it is, `user_version` which schema.

-- A session's header (a msgpack map, see turnwise.stores.embedded.state.Header). `queued` counts its rows in
-- `queue`; `expires` repeats what the header says, in ms since the epoch, for the sweep.
CREATE TABLE sessions (
    session    INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    header     BLOB NOT NULL,
    queued     INTEGER NOT NULL,
    expires    INTEGER
);

CREATE INDEX expiring ON sessions (expires) WHERE expires IS NOT NULL;

-- The history: items, markers and records, at positions 0, 1, 2 ... of each session.
CREATE TABLE elements (
    session  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    element  BLOB NOT NULL,
    PRIMARY KEY (session, position)
) WITHOUT ROWID;

-- Finds a turn_id without a look at the items: the markers, which begin with 0x02.
CREATE INDEX markers ON elements (session, element, position)
    WHERE element >= x'02' AND element < x'03';

-- The open turn's journal, at positions 0, 1, 2 ...
CREATE TABLE journal (
    session  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    entry    BLOB NOT NULL,
    PRIMARY KEY (session, position)
) WITHOUT ROWID;

-- Waiting messages and callers, the oldest at the smallest place (turnwise.stores.embedded.state.Entry).
CREATE TABLE queue (
    session INTEGER NOT NULL,
    place   INTEGER NOT NULL,
    entry   BLOB NOT NULL,
    PRIMARY KEY (session, place)
) WITHOUT ROWID;

-- Waiter-ups for callers in other processes, which look for rows beyond the last one they saw. A row
-- is of no use after some seconds. Numbers are never used twice.
CREATE TABLE wakes (
    wake  INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL,
    at    INTEGER NOT NULL
);
