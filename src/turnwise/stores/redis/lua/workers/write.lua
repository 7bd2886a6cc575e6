#!lua flags=allow-oom
-- write(worker, record, kept_ms) -> ok
-- Of the others' records it looks at two, and removes those that nobody wrote for that long: so there
-- are never many, and no call looks at all of them.
local KEY, WORKER, RECORD, KEPT_MS = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEY, WORKER, string.format('%.0f ', now) .. RECORD)
redis.call('PEXPIRE', KEY, KEPT_MS)
for _, worker in ipairs(redis.call('HRANDFIELD', KEY, -2)) do
  local written = tonumber(string.match(redis.call('HGET', KEY, worker) or '', '^%d+'))
  if written and now - written > KEPT_MS then redis.call('HDEL', KEY, worker) end
end
return { 'ok' }
