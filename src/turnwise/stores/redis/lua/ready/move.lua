#!lua flags=allow-oom
-- move(group, worker, to, idle, channel, shard, id...) -> ok
-- Those of the entries that are the worker's become another's, as if idle for so many ms. The
-- channel (empty: none) is told.
local KEY, GROUP, WORKER, TO, IDLE = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('EXISTS', KEY) == 0 then return { 'ok' } end
for i = 7, #ARGV do
  local id = ARGV[i]
  local pending = redis.pcall('XPENDING', KEY, GROUP, id, id, 1, WORKER)
  if not pending.err and #pending > 0 then
    redis.call('XCLAIM', KEY, GROUP, TO, 0, id, 'IDLE', IDLE, 'JUSTID')
  end
end
if ARGV[5] ~= '' then redis.pcall('PUBLISH', ARGV[5], ARGV[6]) end
return { 'ok' }
