#!lua flags=allow-oom
-- move(group, worker, to, idle_ms, channel, shard, id...) -> ok
-- Gives those of the entries that are the worker's to another one, as if idle for that long, and
-- publishes the shard on the channel, if one is given.
local KEY, GROUP, WORKER, TO, IDLE_MS = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local CHANNEL, SHARD = ARGV[5], ARGV[6]
if redis.call('EXISTS', KEY) == 0 then return { 'ok' } end
for i = 7, #ARGV do
  local id = ARGV[i]
  local pending = redis.pcall('XPENDING', KEY, GROUP, id, id, 1, WORKER)
  if not pending.err and #pending > 0 then
    redis.call('XCLAIM', KEY, GROUP, TO, 0, id, 'IDLE', IDLE_MS, 'JUSTID')
  end
end
if CHANNEL ~= '' then redis.pcall('PUBLISH', CHANNEL, SHARD) end
return { 'ok' }
