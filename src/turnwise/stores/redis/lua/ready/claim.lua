#!lua
-- claim(group, worker, count, idle_ms, cursor) -> ok, now, cursor, {{id, fields}...}
-- First the entries that were requeued or whose worker died (idle for that long), then new ones.
local KEY, GROUP, WORKER = KEYS[1], ARGV[1], ARGV[2]
local count, IDLE_MS, cursor = tonumber(ARGV[3]), ARGV[4], ARGV[5]
local MAX_ROUNDS = 10

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local entries = {}

local function autoclaim()
  local reply = redis.pcall('XAUTOCLAIM', KEY, GROUP, WORKER, IDLE_MS, cursor, 'COUNT', count - #entries)
  if reply.err then return reply end
  cursor = reply[1]
  for _, entry in ipairs(reply[2]) do entries[#entries + 1] = entry end
end

local failed = autoclaim()
if failed then
  if string.sub(failed.err, 1, 7) ~= 'NOGROUP' then return failed end
  if redis.call('EXISTS', KEY) == 0 then return { 'ok', now, '0-0', {} } end
  redis.call('XGROUP', 'CREATE', KEY, GROUP, '0')
  autoclaim()
end
for _ = 2, MAX_ROUNDS do
  if #entries >= count or cursor == '0-0' then break end
  autoclaim()
end
if #entries < count then
  local new = redis.call('XREADGROUP', 'GROUP', GROUP, WORKER, 'COUNT', count - #entries, 'STREAMS', KEY, '>')
  for _, entry in ipairs(new and new[1][2] or {}) do entries[#entries + 1] = entry end
end
return { 'ok', now, cursor, entries }
