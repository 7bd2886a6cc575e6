#!lua flags=allow-oom
-- write(session_id, turn_id, token, letter) -> ok, id
-- A letter that is sent again is one letter; nobody waits longer than a few others take.
local POLL_INTERVAL = 10
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', POLL_INTERVAL)) do
  local fields = entry[2]
  if fields[2] == ARGV[1] and fields[4] == ARGV[2] and fields[6] == ARGV[3] then return { 'ok', entry[1] } end
end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
return { 'ok', redis.call('XADD', KEYS[1], '*', 's', ARGV[1], 't', ARGV[2], 'k', ARGV[3], 'a', now, 'l', ARGV[4]) }
