-- Reading and writing the history, and the journal behind it.
local function push(values, first)
  for i = first, #values, PUSH_LIMIT do
    redis.call('RPUSH', KEY, unpack(values, i, math.min(i + PUSH_LIMIT - 1, #values)))
  end
end

-- An element that was damaged to nothing is no item.
local function is_item(element) return (string.byte(element) or 0) >= FIRST_ITEM_BYTE end

-- What an element counts in the session's size: its length, or more if it decodes to a lot, which its
-- zstd frame says (RFC 8878, 3.1.1.1). `weight` in codec/zstd.py is the same.
local function weight(element)
  local kind, descriptor = string.byte(element), string.byte(element, 6)
  if kind ~= BARE_FRAME and kind ~= DICTIONARY_FRAME or not descriptor then return #element end
  local flag, is_single = math.floor(descriptor / 64), math.floor(descriptor / 32) % 2 == 1
  local first, length = is_single and 7 or 8, flag == 0 and (is_single and 1 or 0) or 2 ^ flag
  local size = flag == 1 and 256 or 0
  for i = 0, length - 1 do size = size + (string.byte(element, first + i) or 0) * 256 ^ i end
  return math.max(#element, math.floor(size / MAX_EXPANSION))
end

-- The list index of a history position. The history ends before index_of(header, header.elements).
local function index_of(header, position) return 1 + 2 * header.queued + position end

-- The elements from position `first` up to, and without, `last`.
local function history(header, first, last)
  if last <= first then return {} end
  return redis.call('LRANGE', KEY, index_of(header, first), index_of(header, last) - 1)
end

local function journal_length(header) return redis.call('LLEN', KEY) - index_of(header, header.elements) end

local function journal_entry(header, index)
  return redis.call('LINDEX', KEY, index_of(header, header.elements) + index)
end

local function clear_journal(header) redis.call('LTRIM', KEY, 0, index_of(header, header.elements) - 1) end

-- What is new since a base: its start and the elements from there; start -1 if they are too many.
local function history_since(header, position, commit_id)
  local valid = position == 0
  if position == header.elements then
    valid = valid or header.commit_id == commit_id
  elseif position > 0 and position < header.elements then
    local record = redis.call('LINDEX', KEY, index_of(header, position - 1))
    valid = string.sub(record, 1, #commit_id + 2) == RECORD .. commit_id .. ' '
  end
  local start = valid and position or 0
  if header.elements - start > READ_LIMIT then return -1, {} end
  return start, history(header, start, header.elements)
end

-- The history position of a turn's marker among what is younger than the retention, or among the
-- last `most` elements.
local function find_turn(header, turn_id, most)
  local reach = redis.call('LLEN', KEY) - index_of(header, header.search_start)
  if most and most < reach then reach = most end
  if reach <= 0 then return nil end -- MAXLEN 0 would mean no limit
  local index = redis.call('LPOS', KEY, MARKER .. turn_id, 'RANK', -1, 'MAXLEN', reach)
  return index and index - index_of(header, 0)
end

-- The record of the turn whose marker is at this position.
local function record_of(header, position) return redis.call('LINDEX', KEY, index_of(header, position + 1)) end

-- Commit id, number of items, kind and payload.
local function parse_record(record)
  local commit_id, items, kind, payload = string.match(record, '^.(%S+) %d+ (%d+) (%S+) %d+ %S* %S* (.*)$')
  return commit_id, tonumber(items), kind, payload
end

-- run: by which attempt of which worker, and what that consumed; nil for a change between turns.
local function make_record(commit_id, items, kind, payload, run)
  local fields = { commit_id, string.format('%.0f', NOW), items, kind, run or '0  ', payload }
  return RECORD .. table.concat(fields, ' ')
end

local function percent(character) return string.format('%%%02X', string.byte(character)) end

-- What a record says of the open turn's run: attempt, usage, worker.
local function run_of(turn, usage)
  return turn.attempt .. ' ' .. (usage or '') .. ' ' .. string.gsub(turn.worker, '[%c%s%%]', percent)
end

local function add_usage(header, usage)
  local counts, number = header.usage or { 0, 0, 0, 0, 0 }, 0
  for count in string.gmatch(usage, '%d+') do
    number = number + 1
    counts[number], header.usage = counts[number] + count, counts
  end
end

-- The answer for a finished turn: its record, and the items that the history still has of it.
local function duplicate(header, position)
  local record = record_of(header, position)
  local _, items = parse_record(record)
  local before = history(header, math.max(0, position - math.min(items, READ_LIMIT)), position)
  local first = #before + 1
  while first > 1 and is_item(before[first - 1]) do first = first - 1 end
  return { 'duplicate', record, position, { unpack(before, first) } }
end

-- What remains when every item after the first `keep` goes: markers and records younger than the
-- retention stay. Only reads; nil if there is nothing to drop.
local function plan_cut(header, keep)
  local drop, from, page, younger = header.items - keep, header.elements, 16, 0
  if drop <= 0 then return nil end
  local floor = keep == 0 and header.search_start or 0
  local bytes, newest_first = header.bytes, {}
  while from > floor and (drop > 0 or keep == 0) do
    local chunk = history(header, math.max(from - page, floor), from)
    for i = #chunk, 1, -1 do
      local element = chunk[i]
      from, bytes = from - 1, bytes - weight(element)
      if is_item(element) then
        drop = drop - 1
        if drop == 0 and keep > 0 then break end
      elseif from >= header.search_start then
        newest_first[#newest_first + 1] = element
        if from < header.next_search_start then younger = younger + 1 end
      end
    end
    page = math.min(page * 2, READ_LIMIT)
  end
  if keep == 0 then from, bytes = 0, 0 end
  local remaining = {}
  for i = #newest_first, 1, -1 do
    remaining[#remaining + 1] = newest_first[i]
    bytes = bytes + weight(newest_first[i])
  end
  return { from = from, items = keep, remaining = remaining, bytes = bytes, younger = younger }
end

local function apply_cut(header, cut)
  redis.call('LTRIM', KEY, 0, index_of(header, cut.from) - 1)
  push(cut.remaining, 1)
  header.next_search_start = math.min(header.next_search_start, cut.from) + cut.younger
  header.search_start = math.min(header.search_start, cut.from)
  header.items, header.elements, header.bytes = cut.items, cut.from + #cut.remaining, cut.bytes
end

local function roll_search_start(header)
  header.retention_ms = RETENTION_MS
  if NOW < header.search_rolled then header.search_rolled = NOW end
  local age_ms = NOW - header.search_rolled
  if age_ms <= RETENTION_MS then return end
  header.search_start = age_ms > 2 * RETENTION_MS and header.elements or header.next_search_start
  header.next_search_start, header.search_rolled = header.elements, NOW
end

-- One turn becomes history: its items (ARGV from `first` on, if given), its marker, its record.
local function write_turn(header, turn_id, commit_id, kind, payload, first, cut, run)
  if is_new then save(header) end
  if cut then apply_cut(header, cut) end
  roll_search_start(header)
  local elements = {}
  for i = first or #ARGV + 1, #ARGV do elements[#elements + 1] = ARGV[i] end
  local items = #elements
  elements[items + 1] = MARKER .. turn_id
  elements[items + 2] = make_record(commit_id, items, kind, payload, run)
  for i = 1, #elements do header.bytes = header.bytes + weight(elements[i]) end
  push(elements, 1)
  header.elements, header.items = header.elements + #elements, header.items + items
  header.commits, header.commit_id, header.updated = header.commits + 1, commit_id, NOW
  changed = true
end

-- Whether the items in ARGV from `first` on would make the history larger than it may be.
local function too_large(header, first, cut)
  local bytes = cut and cut.bytes or header.bytes
  for i = first, #ARGV do bytes = bytes + weight(ARGV[i]) end
  return bytes > MAX_BYTES and bytes > header.bytes
end
