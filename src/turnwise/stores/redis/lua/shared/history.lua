-- Reading and writing the history, and the journal behind it.
local function push(list, first)
  for i = first, #list, PUSH do
    redis.call('RPUSH', KEY, unpack(list, i, math.min(i + PUSH - 1, #list)))
  end
end

-- The list index of history position p; the history ends before at(h, h.e).
local function at(h, p) return 1 + 2 * h.q + p end

local function history(h, first, last)
  if last <= first then return {} end
  return redis.call('LRANGE', KEY, at(h, first), at(h, last) - 1)
end

local function journal_length(h) return redis.call('LLEN', KEY) - at(h, h.e) end

local function trim_journal(h) redis.call('LTRIM', KEY, 0, at(h, h.e) - 1) end

-- What is new since a base: its position and the elements after it; -1 where that is too much.
local function since(h, position, commit_id)
  local valid = position == 0
  if position == h.e then
    valid = valid or h.c == commit_id
  elseif position > 0 and position < h.e then
    local record = redis.call('LINDEX', KEY, at(h, position - 1))
    valid = string.sub(record, 1, #commit_id + 2) == RECORD .. commit_id .. ' '
  end
  local start = valid and position or 0
  if h.e - start > READ then return -1, {} end
  return start, history(h, start, h.e)
end

-- The history position of a turn's marker, among what is younger than the retention.
local function find(h, turn_id)
  local length = redis.call('LLEN', KEY)
  local reach = length - at(h, h.m)
  if reach <= 0 then return nil end
  local index = redis.call('LPOS', KEY, MARKER .. turn_id, 'RANK', -1, 'MAXLEN', reach)
  return index and index - at(h, 0)
end

local function duplicate(h, p)
  local first, before = p, math.max(0, p - READ)
  local chunk = history(h, before, p)
  while first > before and string.byte(chunk[first - before]) >= FIRST_ITEM_BYTE do first = first - 1 end
  local items = { unpack(chunk, first - before + 1) }
  return { 'duplicate', redis.call('LINDEX', KEY, at(h, p + 1)), p, items }
end

-- Drops every item after the first `keep`; markers and records younger than the retention stay.
local function cut(h, keep)
  local drop, from, size, kept, young = h.n - keep, h.e, 16, {}, 0
  if drop <= 0 then return end
  local floor = keep == 0 and h.m or 0
  while drop > 0 and from > floor do
    local first = math.max(from - size, floor)
    local chunk = history(h, first, from)
    for i = #chunk, 1, -1 do
      local element = chunk[i]
      from, h.z = from - 1, h.z - #element
      if string.byte(element) >= FIRST_ITEM_BYTE then
        drop = drop - 1
        if drop == 0 then break end
      elseif from >= h.m then
        kept[#kept + 1] = element
        if from < h.l then young = young + 1 end
      end
    end
    size = math.min(size * 2, READ)
  end
  if keep == 0 then from, h.z = 0, 0 end
  redis.call('LTRIM', KEY, 0, at(h, from) - 1)
  local back = {}
  for i = #kept, 1, -1 do
    back[#back + 1] = kept[i]
    h.z = h.z + #kept[i]
  end
  push(back, 1)
  h.l = math.min(h.l, from) + young
  h.m, h.n, h.e = math.min(h.m, from), math.min(h.n, keep), from + #back
end

local function roll_marks(h)
  if NOW < h.y then h.y = NOW end
  if NOW - h.y <= RETENTION then return end
  h.m = NOW - h.y > 2 * RETENTION and h.e or h.l
  h.l, h.y = h.e, NOW
end

local function record(commit_id, items, kind, payload)
  return RECORD .. commit_id .. ' ' .. string.format('%.0f', NOW) .. ' ' .. items .. ' ' .. kind .. ' ' .. payload
end

-- One turn becomes history: its items (ARGV from `first` on), its marker, its record.
local function write(h, turn_id, commit_id, kind, payload, first, keep)
  if unsaved then save(h) end
  if keep then cut(h, keep) end
  roll_marks(h)
  local items = #ARGV - first + 1
  local marker, ending = MARKER .. turn_id, record(commit_id, items, kind, payload)
  for i = first, #ARGV do h.z = h.z + #ARGV[i] end
  push(ARGV, first)
  redis.call('RPUSH', KEY, marker, ending)
  h.z = h.z + #marker + #ending
  h.e, h.n, h.s, h.c, h.u = h.e + items + 2, h.n + items, h.s + 1, commit_id, NOW
  changed = true
end

local function write_nothing(h, turn_id, commit_id, kind) write(h, turn_id, commit_id, kind, '', #ARGV + 1) end

local function too_large(h, first)
  local size = h.z
  for i = first, #ARGV do size = size + #ARGV[i] end
  return size > MAX_BYTES
end
