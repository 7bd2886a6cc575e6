-- One file, all sessions. `PRAGMA application_id` says whose file it is, `user_version` which schema.
-- Times are ms since the epoch.

-- A session's header (JSON, see turnwise.stores.header). `queued` counts its rows in `queue`; `expires`
-- repeats what the header says, for the sweep; and `owner`, for lists of an owner's sessions.
CREATE TABLE sessions (
    session    INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,
    header     BLOB NOT NULL,
    queued     INTEGER NOT NULL,
    expires    INTEGER,
    owner      TEXT
);

CREATE INDEX expiring ON sessions (expires) WHERE expires IS NOT NULL;

CREATE INDEX owned ON sessions (owner, session_id) WHERE owner IS NOT NULL;

-- The history: items, markers and records, at positions 0, 1, 2 ... of each session.
CREATE TABLE elements (
    session  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    element  BLOB NOT NULL,
    PRIMARY KEY (session, position)
) WITHOUT ROWID;

-- Finds a turn_id without looking at the items: the markers, which begin with 0x02.
CREATE INDEX markers ON elements (session, element, position)
    WHERE element >= x'02' AND element < x'03';

-- The open turn's journal, at positions 0, 1, 2 ...
CREATE TABLE journal (
    session  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    entry    BLOB NOT NULL,
    PRIMARY KEY (session, position)
) WITHOUT ROWID;

-- Waiting messages and callers (turnwise.stores.embedded.state.Entry), the oldest with the lowest
-- number.
CREATE TABLE queue (
    session INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    entry   BLOB NOT NULL,
    PRIMARY KEY (session, number)
) WITHOUT ROWID;

-- Wake-ups for other processes, each of which looks for rows after the last one that it saw. After
-- some seconds a row is of no use. Ids are never used twice.
CREATE TABLE wake_ups (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL,
    at    INTEGER NOT NULL
);

-- Sessions that have messages. From `due` on a worker may claim one: at once when it is free, else
-- when the open turn's lease or another worker's claim ends.
CREATE TABLE ready (
    session INTEGER PRIMARY KEY,
    due     INTEGER NOT NULL,
    worker  TEXT NOT NULL DEFAULT ''
);

CREATE INDEX ready_due ON ready (due);

-- Dead letters, one a turn. Their ids are in the order of time.
CREATE TABLE dead_letters (
    id         TEXT PRIMARY KEY,
    session_id TEXT NOT NULL,
    turn_id    TEXT NOT NULL,
    at         INTEGER NOT NULL,
    content    BLOB NOT NULL,
    UNIQUE (session_id, turn_id)
) WITHOUT ROWID;

-- Operators' actions, the last ones. A resend has the op_id of the first call.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    op_id  TEXT NOT NULL UNIQUE,
    at     INTEGER NOT NULL,
    record BLOB NOT NULL
);

-- The event logs of turns: events number `first` up to, and without, `next`, of the last attempt.
-- They outlive their session until `expires`.
CREATE TABLE event_logs (
    log        INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    turn_id    TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    next       INTEGER NOT NULL,
    ended      INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    owner      TEXT, -- of their session
    UNIQUE (session_id, turn_id)
);

CREATE INDEX expiring_logs ON event_logs (expires);

CREATE TABLE events (
    log     INTEGER NOT NULL,
    number  INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (log, number)
) WITHOUT ROWID;
