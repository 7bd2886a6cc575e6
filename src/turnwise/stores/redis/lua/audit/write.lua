#!lua flags=allow-oom
-- write(op_id, record, kept) -> ok, number
-- Newest first: number, time, op_id and record of each. The numbers have no gap, so that each tells its
-- index. A resend answers the number of the first call. It follows soon, so few newer ones are before it.
local KEY, OP_ID, RECORD, KEPT = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local LOOK_BACK = 50

local last = 0
for i, entry in ipairs(redis.call('LRANGE', KEY, 0, LOOK_BACK - 1)) do
  local number, op_id = string.match(entry, '^(%d+) %d+ (%S+) ')
  if op_id == OP_ID then return { 'ok', tonumber(number) } end
  if i == 1 then last = tonumber(number) end
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('LPUSH', KEY, string.format('%d %.0f %s ', last + 1, now, OP_ID) .. RECORD)
redis.call('LTRIM', KEY, 0, KEPT - 1)
return { 'ok', last + 1 }
