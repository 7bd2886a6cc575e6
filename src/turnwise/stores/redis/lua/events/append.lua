#!lua
-- append(attempt, index, last, ttl_ms, max_events, channel, owner, event...) -> ok | superseded
-- An entry's id is attempt-number, so that none is added twice. Behind the last event comes an entry
-- without one. The owner follows each field's name, which a stream stores once for many entries. Events of
-- another owner are an earlier session's, and go.
local KEY, attempt, index, last = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local TTL_MS, MAX_EVENTS, CHANNEL, OWNER, EVENTS = ARGV[4], ARGV[5], ARGV[6], ARGV[7], 8

local highest = -1
local newest = redis.call('XREVRANGE', KEY, '+', '-', 'COUNT', 1)[1]
if newest then
  local known_attempt, number = string.match(newest[1], '^(%d+)-(%d+)$')
  local is_ours = string.match(newest[2][1], '^%l+ ?(.*)$') == OWNER
  if is_ours and tonumber(known_attempt) > attempt then return { 'superseded' } end
  if is_ours and tonumber(known_attempt) == attempt then
    highest = tonumber(number)
  else
    redis.call('DEL', KEY)
  end
end

local suffix = OWNER ~= '' and ' ' .. OWNER or ''
local function add(number, field, value)
  if number <= highest then return end
  redis.call('XADD', KEY, 'MAXLEN', MAX_EVENTS, attempt .. '-' .. number, field .. suffix, value)
end

for i = EVENTS, #ARGV do add(index + i - EVENTS, 'event', ARGV[i]) end
if last then add(index + #ARGV - EVENTS + 1, 'last', '') end
redis.call('PEXPIRE', KEY, TTL_MS)
redis.pcall('PUBLISH', CHANNEL, '')
return { 'ok' }
