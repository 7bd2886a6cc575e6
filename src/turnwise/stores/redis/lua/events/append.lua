#!lua
-- append(attempt, index, last, ttl_ms, max_events, channel, event...) -> ok | superseded
-- An entry's id is attempt-number, so that none is added twice. Behind the last event comes an entry
-- without one.
local KEY, attempt, index, last = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local TTL_MS, MAX_EVENTS, CHANNEL, EVENTS = ARGV[4], ARGV[5], ARGV[6], 7

local highest = -1
local newest = redis.call('XREVRANGE', KEY, '+', '-', 'COUNT', 1)[1]
if newest then
  local known_attempt, number = string.match(newest[1], '^(%d+)-(%d+)$')
  if tonumber(known_attempt) > attempt then return { 'superseded' } end
  if tonumber(known_attempt) < attempt then redis.call('DEL', KEY) else highest = tonumber(number) end
end

local function add(number, field, value)
  if number > highest then redis.call('XADD', KEY, 'MAXLEN', MAX_EVENTS, attempt .. '-' .. number, field, value) end
end

for i = EVENTS, #ARGV do add(index + i - EVENTS, 'event', ARGV[i]) end
if last then add(index + #ARGV - EVENTS + 1, 'last', '') end
redis.call('PEXPIRE', KEY, TTL_MS)
redis.pcall('PUBLISH', CHANNEL, '')
return { 'ok' }
