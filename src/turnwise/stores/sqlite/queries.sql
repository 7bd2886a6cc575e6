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

-- mark_ready --
-- A session has messages: from `due` on a worker may take them. A claim stays as it is; one that
-- is free already keeps its place in the line.
INSERT INTO ready (session, due) VALUES (?, ?)
ON CONFLICT (session) DO UPDATE SET due = CASE
    WHEN worker <> '' THEN due
    WHEN excluded.due <= ? THEN min(due, excluded.due)
    ELSE excluded.due
END;

-- move_ready --
-- The same for a session of which it is not known whether it has messages; the second value is
-- the first one, or 0 where the session is free.
UPDATE ready SET due = min(?, max(due, ?)) WHERE session = ? AND worker = '';

-- unmark_ready --
-- A session has no messages any more.
DELETE FROM ready WHERE session = ?;

-- ready_sessions --
-- Those that a worker may take by now, the longest waiting first.
SELECT ready.session, sessions.session_id FROM ready INDEXED BY ready_due
JOIN sessions USING (session)
WHERE ready.due <= ? AND (sessions.expires IS NULL OR sessions.expires > ?)
ORDER BY ready.due LIMIT ?;

-- claim_ready --
-- A session is a worker's until `due`.
UPDATE ready SET worker = ?, due = ? WHERE session = ?;

-- free_claim --
-- A worker has dealt with a session; from `due` on it may be taken again.
UPDATE ready SET worker = '', due = ? WHERE session = ? AND worker = ?;

-- move_claim --
-- What one worker has becomes another's, or nobody's, until `due`.
UPDATE ready SET worker = ?, due = ?
WHERE worker = ? AND session = (SELECT session FROM sessions WHERE session_id = ?);

-- add_letter --
-- The last letter of a turn takes the place of one before.
INSERT INTO letters (letter, session_id, turn_id, at, content) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (session_id, turn_id) DO UPDATE
SET letter = excluded.letter, at = excluded.at, content = excluded.content;

-- letters_after --
-- A page of letters, in the order of their ids.
SELECT session_id, letter, turn_id, at, content FROM letters WHERE letter > ?
ORDER BY letter LIMIT ?;

-- delete_letter --
-- A letter that was dealt with.
DELETE FROM letters WHERE letter = ?;

-- load_log --
-- What is kept of a turn's events.
SELECT log, attempt, first, next, ended, expires FROM logs WHERE session_id = ? AND turn_id = ?;

-- save_log --
-- The same after new events.
INSERT INTO logs (session_id, turn_id, attempt, first, next, ended, expires)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session_id, turn_id) DO UPDATE SET attempt = excluded.attempt,
    first = excluded.first, next = excluded.next, ended = excluded.ended,
    expires = excluded.expires
RETURNING log;

-- add_event --
-- One event at its number.
INSERT INTO events (log, number, content) VALUES (?, ?, ?);

-- load_events --
-- The events from number `first` up to, and without, `next`.
SELECT content FROM events WHERE log = ? AND number >= ? AND number < ? ORDER BY number;

-- drop_events --
-- Those before a number.
DELETE FROM events WHERE log = ? AND number < ?;

-- expired_logs --
-- Some of those whose time is over.
SELECT log FROM logs WHERE expires <= ? LIMIT ?;

-- delete_log --
-- A log; its events are dropped with `drop_events`.
DELETE FROM logs WHERE log = ?;
