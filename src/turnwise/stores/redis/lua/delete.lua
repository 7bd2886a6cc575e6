#!lua flags=allow-oom
-- delete(incarnation) -> ok | absent
-- Only the session that was meant: one that was created again since then stays.
local incarnation = ARGV[8]

local header, refusal = load()
if refusal then return refusal end
if not header or header.incarnation ~= incarnation then return { 'absent' } end
redis.call('UNLINK', KEY)
local turn = header.turn
if turn then redis.pcall('PUBLISH', WAKE_CHANNEL .. turn.worker, turn.token) end
return { 'ok' }
