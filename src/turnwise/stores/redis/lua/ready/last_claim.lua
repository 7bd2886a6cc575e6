#!lua flags=no-writes
-- last_claim(group, nobody) -> ok, idle_ms (-1 if no worker is known)
-- How long ago the last worker claimed; `nobody` is the consumer of requeued entries.
local KEY, GROUP, NOBODY = KEYS[1], ARGV[1], ARGV[2]
local consumers, idle_ms = redis.pcall('XINFO', 'CONSUMERS', KEY, GROUP), -1
for _, consumer in ipairs(consumers.err and {} or consumers) do
  local fields = {}
  for i = 1, #consumer, 2 do fields[consumer[i]] = consumer[i + 1] end
  if fields.name ~= NOBODY and (idle_ms < 0 or fields.idle < idle_ms) then idle_ms = fields.idle end
end
return { 'ok', idle_ms }
