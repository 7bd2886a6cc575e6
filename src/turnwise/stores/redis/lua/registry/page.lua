#!lua flags=no-writes
-- page(cursor, count) -> ok, now, cursor ('0' at the end), {name, written and record}...
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
return { 'ok', now, page[1], page[2] }
