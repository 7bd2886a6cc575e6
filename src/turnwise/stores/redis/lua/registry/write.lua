#!lua flags=allow-oom
-- write(name, record, kept_ms, 0 for ever) -> ok
-- Of the other records it looks at two, and removes those that nobody wrote for that long: so there are
-- never many, and no call looks at all of them.
local KEY, NAME, RECORD, KEPT_MS = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEY, NAME, string.format('%.0f ', now) .. RECORD)
if KEPT_MS == 0 then return { 'ok' } end
redis.call('PEXPIRE', KEY, KEPT_MS)
for _, name in ipairs(redis.call('HRANDFIELD', KEY, -2)) do
  local written = tonumber(string.match(redis.call('HGET', KEY, name) or '', '^%d+'))
  if written and now - written > KEPT_MS then redis.call('HDEL', KEY, name) end
end
return { 'ok' }
