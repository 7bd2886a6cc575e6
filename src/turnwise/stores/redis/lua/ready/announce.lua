#!lua
-- announce(session_id, turn_id, channel, shard) -> ok, time
-- turn_id: empty for a message that was found waiting.
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call('XADD', KEYS[1], '*', 's', ARGV[1], 't', ARGV[2], 'a', now)
redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return { 'ok', tonumber(now) }
