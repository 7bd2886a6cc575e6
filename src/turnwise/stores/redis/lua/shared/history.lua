-- Reading and writing the history, and the journal behind it.
local function push(list, first)
  for i = first, #list, PUSH do
    redis.call('RPUSH', KEY, unpack(list, i, math.min(i + PUSH - 1, #list)))
  end
end

-- An element that was damaged to nothing is no item.
local function is_item(element) return (string.byte(element) or 0) >= FIRST_ITEM_BYTE end

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

-- The history position of a turn's marker among what is younger than the retention, or among the
-- last `most` elements.
local function find(h, turn_id, most)
  local reach = redis.call('LLEN', KEY) - at(h, h.m)
  if most and most < reach then reach = most end
  if reach <= 0 then return nil end -- MAXLEN 0 would mean no limit
  local index = redis.call('LPOS', KEY, MARKER .. turn_id, 'RANK', -1, 'MAXLEN', reach)
  return index and index - at(h, 0)
end

-- The record of the turn whose marker is at position p.
local function record_at(h, p) return redis.call('LINDEX', KEY, at(h, p + 1)) end

local function duplicate(h, p)
  local record = record_at(h, p)
  local added = tonumber(string.match(record, '^%S+ %d+ (%d+)'))
  local chunk = history(h, math.max(0, p - math.min(added, READ)), p)
  local first = #chunk + 1
  while first > 1 and is_item(chunk[first - 1]) do first = first - 1 end
  return { 'duplicate', record, p, { unpack(chunk, first) } }
end

-- What stays when every item after the first `keep` goes: markers and records younger than the
-- retention do. Only reads; nil when there is nothing to drop.
local function cutting(h, keep)
  local drop, from, size, young = h.n - keep, h.e, 16, 0
  if drop <= 0 then return nil end
  local floor = keep == 0 and h.m or 0
  local z, newest_first = h.z, {}
  while from > floor and (drop > 0 or keep == 0) do
    local chunk = history(h, math.max(from - size, floor), from)
    for i = #chunk, 1, -1 do
      local element = chunk[i]
      from, z = from - 1, z - #element
      if is_item(element) then
        drop = drop - 1
        if drop == 0 and keep > 0 then break end
      elseif from >= h.m then
        newest_first[#newest_first + 1] = element
        if from < h.l then young = young + 1 end
      end
    end
    size = math.min(size * 2, READ)
  end
  if keep == 0 then from, z = 0, 0 end
  local stays = {}
  for i = #newest_first, 1, -1 do
    stays[#stays + 1] = newest_first[i]
    z = z + #newest_first[i]
  end
  return { from = from, keep = keep, stays = stays, z = z, young = young }
end

local function cut(h, plan)
  redis.call('LTRIM', KEY, 0, at(h, plan.from) - 1)
  push(plan.stays, 1)
  h.l = math.min(h.l, plan.from) + plan.young
  h.m = math.min(h.m, plan.from)
  h.n, h.e, h.z = plan.keep, plan.from + #plan.stays, plan.z
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

-- One turn becomes history: its items (ARGV from `first` on, if given), its marker, its record.
local function write(h, turn_id, commit_id, kind, payload, first, plan)
  if unsaved then save(h) end
  if plan then cut(h, plan) end
  roll_marks(h)
  local elements = {}
  for i = first or #ARGV + 1, #ARGV do elements[#elements + 1] = ARGV[i] end
  local items = #elements
  elements[items + 1] = MARKER .. turn_id
  elements[items + 2] = record(commit_id, items, kind, payload)
  for i = 1, #elements do h.z = h.z + #elements[i] end
  push(elements, 1)
  h.e, h.n, h.s, h.c, h.u = h.e + #elements, h.n + items, h.s + 1, commit_id, NOW
  changed = true
end

-- Whether the items in ARGV from `first` on make the history outgrow its bound.
local function too_large(h, first, plan)
  local size = plan and plan.z or h.z
  for i = first, #ARGV do size = size + #ARGV[i] end
  return size > MAX_BYTES and size > h.z
end
