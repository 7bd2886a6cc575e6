-- Every statement under its name, with a description.

-- load_session --
-- A session's row, by its id.
SELECT session, header, queued FROM sessions WHERE session_id = :session_id;

-- add_session --
-- A new row. `session` refers to it in the other tables.
INSERT INTO sessions (session_id, header, queued, owner) VALUES (:session_id, x'', 0, :owner);

-- save_session --
-- What a verb made of the session.
UPDATE sessions SET header = :header, queued = :queued, expires = :expires
WHERE session = :session;

-- delete_session --
-- The row only; the next three remove the rest.
DELETE FROM sessions WHERE session = :session;

-- truncate_history --
-- Cut the history to its first `length` elements.
DELETE FROM elements WHERE session = :session AND position >= :length;

-- clear_journal --
-- Remove the whole journal.
DELETE FROM journal WHERE session = :session;

-- clear_queue --
-- Remove the whole queue.
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
-- The last position of `marker`, from `first` on. The last two conditions are true of any marker;
-- they let SQLite use the index.
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
SELECT number, entry FROM queue WHERE session = :session ORDER BY number;

-- save_entry --
-- A new or changed entry.
INSERT INTO queue (session, number, entry) VALUES (?, ?, ?)
ON CONFLICT (session, number) DO UPDATE SET entry = excluded.entry;

-- delete_entry --
-- An entry that left the queue.
DELETE FROM queue WHERE session = ? AND number = ?;

-- session_page --
-- A page of the sessions that have not expired, in the order of their ids.
SELECT session_id, header, queued FROM sessions
WHERE session_id > :after AND (expires IS NULL OR expires > :now)
ORDER BY session_id LIMIT :count;

-- owner_page --
-- A page of one owner's sessions, in the same order.
SELECT session_id, header, queued FROM sessions INDEXED BY owned
WHERE owner = :owner AND session_id > :after AND (expires IS NULL OR expires > :now)
ORDER BY session_id LIMIT :count;

-- expired_sessions --
-- Some of the sessions that have expired.
SELECT session FROM sessions WHERE expires <= :now LIMIT :count;

-- add_wake_up --
-- Wake a listener of `token` in another process.
INSERT INTO wake_ups (token, at) VALUES (:token, :now);

-- delete_wake_ups --
-- Those that every process has had time to see (and those from before the clock was set back).
DELETE FROM wake_ups WHERE at < :now - :kept_ms OR at > :now + :kept_ms;

-- new_wake_ups --
-- Those after the last one that was seen.
SELECT id, token FROM wake_ups WHERE id > :seen ORDER BY id;

-- mark_ready --
-- A session has messages: from `due` on a worker may claim it. A claim stays as it is. A session
-- that could be claimed already keeps its `due`, and so its position in the order of claims.
INSERT INTO ready (session, due) VALUES (?, ?)
ON CONFLICT (session) DO UPDATE SET due = CASE
    WHEN worker <> '' THEN due
    WHEN excluded.due <= ? THEN min(due, excluded.due)
    ELSE excluded.due
END;

-- move_ready --
-- The same for a session that may have no messages, and so no row. The second value is `due` again,
-- or 0 if that has passed.
UPDATE ready SET due = min(?, max(due, ?)) WHERE session = ? AND worker = '';

-- unmark_ready --
-- A session has no messages any more.
DELETE FROM ready WHERE session = ?;

-- ready_sessions --
-- Those that a worker may claim now, the longest due first.
SELECT ready.session, sessions.session_id FROM ready INDEXED BY ready_due
JOIN sessions USING (session)
WHERE ready.due <= ? AND (sessions.expires IS NULL OR sessions.expires > ?)
ORDER BY ready.due LIMIT ?;

-- announced --
-- Sessions with messages, claimed or not, the longest due first.
SELECT sessions.session_id FROM ready INDEXED BY ready_due JOIN sessions USING (session)
WHERE sessions.expires IS NULL OR sessions.expires > ?
ORDER BY ready.due LIMIT ?;

-- unclaimed --
-- How many could be claimed now, and since when the first of them.
SELECT count(*), min(ready.due) FROM ready JOIN sessions USING (session)
WHERE ready.due <= ? AND (sessions.expires IS NULL OR sessions.expires > ?);

-- claim_ready --
-- The session is hidden from other workers until `due`.
UPDATE ready SET worker = ?, due = ? WHERE session = ?;

-- free_claim --
-- A worker's claim ends; from `due` on the session may be claimed again.
UPDATE ready SET worker = '', due = ? WHERE session = ? AND worker = ?;

-- end_claim --
-- A claim ends, whoever has it.
UPDATE ready SET worker = '', due = ? WHERE session = ?;

-- move_claim --
-- A worker's claim becomes another worker's, or nobody's, until `due`.
UPDATE ready SET worker = ?, due = ?
WHERE worker = ? AND session = (SELECT session FROM sessions WHERE session_id = ?);

-- add_dead_letter --
-- A turn's letter replaces its earlier one.
INSERT INTO dead_letters (id, session_id, turn_id, at, content) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (session_id, turn_id) DO UPDATE
SET id = excluded.id, at = excluded.at, content = excluded.content;

-- dead_letters_after --
-- A page of letters, in the order of their ids.
SELECT session_id, id, turn_id, at, content FROM dead_letters WHERE id > ?
ORDER BY id LIMIT ?;

-- count_dead_letters --
-- How many there are.
SELECT count(*) FROM dead_letters;

-- delete_dead_letter --
-- A letter by its id.
DELETE FROM dead_letters WHERE id = ?;

-- add_audit --
-- A record of an operator's action, once.
INSERT INTO audit (op_id, at, record) VALUES (?, ?, ?) ON CONFLICT (op_id) DO NOTHING;

-- audit_number --
-- The number of the record that an op_id wrote.
SELECT number FROM audit WHERE op_id = ?;

-- trim_audit --
-- The records up to a number.
DELETE FROM audit WHERE number <= ?;

-- amend_audit --
-- What became of the action.
UPDATE audit SET record = ? WHERE number = ? AND op_id = ?;

-- audit_page --
-- Records before a number, the newest first.
SELECT number, at, record FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?;

-- load_event_log --
-- Which events of a turn are kept.
SELECT log, attempt, first, next, ended, expires, owner FROM event_logs
WHERE session_id = ? AND turn_id = ?;

-- save_event_log --
-- The same after new events.
INSERT INTO event_logs (session_id, turn_id, attempt, first, next, ended, expires, owner)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session_id, turn_id) DO UPDATE SET attempt = excluded.attempt,
    first = excluded.first, next = excluded.next, ended = excluded.ended,
    expires = excluded.expires, owner = excluded.owner
RETURNING log;

-- add_event --
-- One event at its number.
INSERT INTO events (log, number, content) VALUES (?, ?, ?);

-- load_events --
-- The events from number `first` up to, and without, `next`.
SELECT content FROM events WHERE log = ? AND number >= ? AND number < ? ORDER BY number;

-- delete_events --
-- Those before a number.
DELETE FROM events WHERE log = ? AND number < ?;

-- expired_event_logs --
-- Some of those that have expired.
SELECT log FROM event_logs WHERE expires <= ? LIMIT ?;

-- delete_event_log --
-- The row only; `delete_events` removes its events.
DELETE FROM event_logs WHERE log = ?;
