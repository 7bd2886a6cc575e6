-- Every statement by its name. What stands between name and statement describes it.

-- load_session --
-- A session's row, by its id.
SELECT session, header, queued FROM sessions WHERE session_id = :session_id;

-- add_session --
-- A new row; its number names the session in the other tables.
INSERT INTO sessions (session_id, header, queued) VALUES (:session_id, x'', 0);

-- save_session --
-- What a verb made of the session.
UPDATE sessions SET header = :header, queued = :queued, expires = :expires
WHERE session = :session;

-- delete_session --
-- The row only; see the three that follow.
DELETE FROM sessions WHERE session = :session;

-- truncate_history --
-- Cut the history to its first `length` elements.
DELETE FROM elements WHERE session = :session AND position >= :length;

-- trim_journal --
-- Drop the whole journal.
DELETE FROM journal WHERE session = :session;

-- empty_queue --
-- Drop the whole queue.
DELETE FROM queue WHERE session = :session;

-- load_history --
-- The elements from position `first` up to, and without, `last`.
SELECT element FROM elements
WHERE session = :session AND position >= :first AND position < :last
ORDER BY position;

-- extend_history --
-- One element at its position.
INSERT INTO elements (session, position, element) VALUES (?, ?, ?);

-- find_marker --
-- The last position from `first` on where `marker` stands. The last two conditions say no more
-- than that it is a marker, which lets SQLite use the index.
SELECT max(position) FROM elements INDEXED BY markers
WHERE session = :session AND element = :marker AND position >= :first
    AND element >= x'02' AND element < x'03';

-- load_journal --
-- All entries, in order.
SELECT entry FROM journal WHERE session = :session ORDER BY position;

-- extend_journal --
-- One entry at its position.
INSERT INTO journal (session, position, entry) VALUES (?, ?, ?);

-- load_queue --
-- All entries, the oldest first.
SELECT place, entry FROM queue WHERE session = :session ORDER BY place;

-- save_entry --
-- A new or changed entry.
INSERT INTO queue (session, place, entry) VALUES (?, ?, ?)
ON CONFLICT (session, place) DO UPDATE SET entry = excluded.entry;

-- delete_entry --
-- An entry that left the queue.
DELETE FROM queue WHERE session = ? AND place = ?;

-- session_ids --
-- A page of the ids of sessions that have not expired, in order.
SELECT session_id FROM sessions
WHERE session_id > :after AND (expires IS NULL OR expires > :now)
ORDER BY session_id LIMIT :count;

-- expired_sessions --
-- Some of the sessions whose time is over.
SELECT session FROM sessions WHERE expires <= :now LIMIT :count;

-- add_wake --
-- Tell a process, whichever waits for `token`.
INSERT INTO wakes (token, at) VALUES (:token, :now);

-- delete_wakes --
-- Those that everybody has had time to see (and those from before the clock was set back).
DELETE FROM wakes WHERE at < :now - :kept OR at > :now + :kept;

-- new_wakes --
-- Those after the one seen last.
SELECT wake, token FROM wakes WHERE wake > :seen ORDER BY wake;
