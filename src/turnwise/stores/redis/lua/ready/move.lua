#!lua flags=allow-oom
-- move(group, worker, to, idle_ms, channel, shard, id...) -> ok
-- Gives those of the entries that are the worker's to another one, as if idle for that long, and
-- publishes the shard on the channel, if one is given.
local KEY, GROUP, WORKER, TO, IDLE_MS = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local CHANNEL, SHARD = ARGV[5], ARGV[6]
if redis.call('EXISTS', KEY) == 0 then return { 'ok' } end
local FEW, MANY = 8, 1000

local function move(ids)
  local command = { unpack(ids) }
  for _, option in ipairs({ 'IDLE', IDLE_MS, 'JUSTID' }) do command[#command + 1] = option end
  if #ids > 0 then redis.call('XCLAIM', KEY, GROUP, TO, 0, unpack(command)) end
end

-- Of a few, each is looked up; of many, all that the worker holds.
local held = {}
local function hold(first, last, count)
  local pending = redis.pcall('XPENDING', KEY, GROUP, first, last, count, WORKER)
  for _, entry in ipairs(pending.err and {} or pending) do held[entry[1]] = true end
end
if #ARGV - 6 > FEW then hold('-', '+', 1000000) end

local ids = {}
for i = 7, #ARGV do
  local id = ARGV[i]
  if #ARGV - 6 <= FEW then hold(id, id, 1) end
  if held[id] then ids[#ids + 1] = id end
  if #ids == MANY then move(ids) ids = {} end
end
move(ids)
if CHANNEL ~= '' then redis.pcall('PUBLISH', CHANNEL, SHARD) end
return { 'ok' }
