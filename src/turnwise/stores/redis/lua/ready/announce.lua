#!lua
-- announce(session_id, turn_id, channel, shard) -> ok, now
-- turn_id: empty for a message that was found in its queue.
local session_id, turn_id, CHANNEL, SHARD = unpack(ARGV)
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('XADD', KEYS[1], '*', 'session_id', session_id, 'turn_id', turn_id, 'announced_at', now)
redis.pcall('PUBLISH', CHANNEL, SHARD)
return { 'ok', tonumber(now) }
