-- Statements that read sessions of the Agents SDK. The names of its tables are put in.

-- tables --
-- The names of all tables.
SELECT name FROM sqlite_master WHERE type = 'table';

-- sessions --
-- All sessions.
SELECT session_id FROM {sessions} ORDER BY session_id;

-- created --
-- When a session was created, in POSIX seconds.
SELECT CAST(strftime('%s', created_at) AS INTEGER) FROM {sessions} WHERE session_id = :session_id;

-- messages --
-- A session's items, and when each was added. The third column counts turns in `branch_messages`.
SELECT message_data, CAST(strftime('%s', created_at) AS INTEGER), NULL FROM {messages}
WHERE session_id = :session_id ORDER BY id;

-- branches --
-- The branches of an AdvancedSQLiteSession.
SELECT DISTINCT branch_id FROM message_structure WHERE session_id = :session_id ORDER BY branch_id;

-- branch_messages --
-- The items of one branch, in its order.
SELECT message_data, CAST(strftime('%s', m.created_at) AS INTEGER), s.user_turn_number
FROM {messages} m JOIN message_structure s ON m.id = s.message_id
WHERE m.session_id = :session_id AND s.session_id = :session_id AND s.branch_id = :branch
ORDER BY s.sequence_number, s.id;

-- branchless --
-- How many items are in no branch.
SELECT count(*) FROM {messages} m WHERE m.session_id = :session_id
    AND NOT EXISTS (SELECT 1 FROM message_structure s WHERE s.message_id = m.id);

-- usage --
-- What each turn of a branch consumed.
SELECT user_turn_number, requests, input_tokens, output_tokens, input_tokens_details, output_tokens_details
FROM turn_usage WHERE session_id = :session_id AND branch_id = :branch;
