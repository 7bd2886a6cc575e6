#!lua flags=allow-oom
-- amend(number, op_id, record) -> ok
-- A record that was dropped meanwhile, or lost in a failover, stays so.
local KEY, NUMBER, OP_ID, RECORD = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]

local last = tonumber(string.match(redis.call('LINDEX', KEY, 0) or '', '^%d+') or 0)
if last < NUMBER then return { 'ok' } end
local entry = redis.call('LINDEX', KEY, last - NUMBER) or ''
local head, op_id = string.match(entry, '^(%d+ %d+ (%S+) )')
if op_id == OP_ID then redis.call('LSET', KEY, last - NUMBER, head .. RECORD) end
return { 'ok' }
