#!lua flags=no-writes
-- read(attempt, number, count, owner) -> events, reset, {{id, fields}...} | absent
-- The events after this one. attempt: 0 to read from the start. owner: whose they must be; '' for anybody's.
local KEY, attempt, number, OWNER = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[4]

local function parse_id(entry)
  local entry_attempt, entry_number = string.match(entry[1], '^(%d+)-(%d+)$')
  return tonumber(entry_attempt), tonumber(entry_number)
end

local oldest = redis.call('XRANGE', KEY, '-', '+', 'COUNT', 1)[1]
if not oldest then return { 'absent' } end
if OWNER ~= '' and string.match(oldest[2][1], '^%l+ ?(.*)$') ~= OWNER then return { 'absent' } end
local current, first = parse_id(oldest)
local _, last = parse_id(redis.call('XREVRANGE', KEY, '+', '-', 'COUNT', 1)[1])
local reset = attempt > 0 and (attempt ~= current or number < first - 1 or number > last)
local start = (attempt == 0 or reset) and '-' or '(' .. attempt .. '-' .. number
return { 'events', reset and 1 or 0, redis.call('XRANGE', KEY, start, '+', 'COUNT', ARGV[3]) }
