#!lua flags=no-writes
-- page(count, before, 0 for the newest) -> ok, {number, time, op_id and record}...
local KEY, COUNT, BEFORE = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local last = tonumber(string.match(redis.call('LINDEX', KEY, 0) or '', '^%d+') or 0)
local first = BEFORE > 0 and math.max(0, last - BEFORE + 1) or 0
return { 'ok', redis.call('LRANGE', KEY, first, first + COUNT - 1) }
