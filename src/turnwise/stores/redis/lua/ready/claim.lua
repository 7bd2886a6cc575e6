#!lua
-- claim(group, worker, count, idle_ms, cursor) -> ok, now, cursor, {{id, fields}...}
-- New entries, and those that were requeued or whose worker died (idle for that long). If there are too
-- many, each kind gets half.
local KEY, GROUP, WORKER = KEYS[1], ARGV[1], ARGV[2]
local count, IDLE_MS, cursor = tonumber(ARGV[3]), ARGV[4], ARGV[5]
local MAX_ROUNDS = 10

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local entries = {}

local function add(some)
  for _, entry in ipairs(some) do entries[#entries + 1] = entry end
end

local function read_new(most)
  local new = redis.pcall('XREADGROUP', 'GROUP', GROUP, WORKER, 'COUNT', most, 'STREAMS', KEY, '>')
  if new and new.err then return new end
  add(new and new[1][2] or {})
end

local function autoclaim()
  local reply = redis.pcall('XAUTOCLAIM', KEY, GROUP, WORKER, IDLE_MS, cursor, 'COUNT', count - #entries)
  if reply.err then return reply end
  cursor = reply[1]
  add(reply[2])
end

local function begin()
  if count == 1 and now % 2 == 0 then return autoclaim() end -- by turns
  return read_new(math.ceil(count / 2))
end

local failed = begin()
if failed then
  if string.sub(failed.err, 1, 7) ~= 'NOGROUP' then return failed end
  if redis.call('EXISTS', KEY) == 0 then return { 'ok', now, '0-0', {} } end
  redis.call('XGROUP', 'CREATE', KEY, GROUP, '0')
  begin()
end
for _ = 1, MAX_ROUNDS do
  if #entries >= count then break end
  autoclaim()
  if cursor == '0-0' then break end
end
if #entries < count then read_new(count - #entries) end
return { 'ok', now, cursor, entries }
