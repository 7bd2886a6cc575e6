#!lua
-- append(attempt, index, last, ttl, max, channel, event...) -> ok | superseded
-- An entry's id is attempt-number, so that none is added twice. An entry without an event is the end.
local KEY, attempt, index = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local MAX, EVENTS = ARGV[5], 7

local newest = redis.call('XREVRANGE', KEY, '+', '-', 'COUNT', 1)[1]
local top = -1
if newest then
  local before, number = string.match(newest[1], '^(%d+)-(%d+)$')
  if tonumber(before) > attempt then return { 'superseded' } end
  if tonumber(before) < attempt then redis.call('DEL', KEY) else top = tonumber(number) end
end
for i = EVENTS, #ARGV do
  local number = index + i - EVENTS
  if number > top then redis.call('XADD', KEY, 'MAXLEN', MAX, attempt .. '-' .. number, 'e', ARGV[i]) end
end
local number = index + #ARGV - EVENTS + 1
if ARGV[3] == '1' and number > top then redis.call('XADD', KEY, 'MAXLEN', MAX, attempt .. '-' .. number, 'l', '') end
redis.call('PEXPIRE', KEY, ARGV[4])
redis.pcall('PUBLISH', ARGV[6], '')
return { 'ok' }
