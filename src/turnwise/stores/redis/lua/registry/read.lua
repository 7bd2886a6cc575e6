#!lua flags=no-writes
-- read(name) -> ok, now, written and record | absent
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local value = redis.call('HGET', KEYS[1], ARGV[1])
return value and { 'ok', now, value } or { 'absent' }
