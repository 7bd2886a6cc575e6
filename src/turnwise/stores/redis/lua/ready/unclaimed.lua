#!lua flags=no-writes
-- unclaimed(group) -> ok, now, count, announced_at of the first (-1 if there is none)
-- Entries that were never delivered to the group: all others are pending until they are removed.
local KEY, GROUP = KEYS[1], ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if redis.call('EXISTS', KEY) == 0 then return { 'ok', now, 0, -1 } end

local function fields_of(pairs)
  local fields = {}
  for i = 1, #pairs, 2 do fields[pairs[i]] = pairs[i + 1] end
  return fields
end

local count, last = fields_of(redis.call('XINFO', 'STREAM', KEY)).length, '0-0'
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEY)) do
  local fields = fields_of(group)
  if fields.name == GROUP then
    count, last = count - fields.pending, fields['last-delivered-id']
  end
end
local first = redis.call('XRANGE', KEY, '(' .. last, '+', 'COUNT', 1)[1]
return { 'ok', now, math.max(0, count), first and tonumber(first[2][6]) or -1 }
