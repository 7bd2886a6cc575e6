#!lua flags=allow-oom
-- remove_idle_workers(group, idle_ms) -> ok
-- Removes consumers that hold no entry and did not claim for that long.
local KEY, GROUP, IDLE_MS = KEYS[1], ARGV[1], tonumber(ARGV[2])
local consumers = redis.pcall('XINFO', 'CONSUMERS', KEY, GROUP)
if consumers.err then return { 'ok' } end
for _, consumer in ipairs(consumers) do
  local fields = {}
  for i = 1, #consumer, 2 do fields[consumer[i]] = consumer[i + 1] end
  if fields.pending == 0 and fields.idle > IDLE_MS then
    redis.call('XGROUP', 'DELCONSUMER', KEY, GROUP, fields.name)
  end
end
return { 'ok' }
