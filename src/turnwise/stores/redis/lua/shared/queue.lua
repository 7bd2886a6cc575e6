-- The queue at the head of the list: messages and the tickets of callers that wait.
local function enqueue(h, turn_id, entry)
  if unsaved then save(h) end
  redis.call('LSET', KEY, 0, entry)
  redis.call('LPUSH', KEY, MARKER .. turn_id, '')
  h.q, h.g, changed = h.q + 1, h.g + 1, true
end

local function unqueue(h, index)
  redis.call('LSET', KEY, index, TOMBSTONE)
  redis.call('LSET', KEY, index + 1, TOMBSTONE)
  redis.call('LREM', KEY, 2, TOMBSTONE)
  h.q, h.g, changed = h.q - 1, h.g + 1, true
end

local function is_message(entry) return string.sub(entry, 1, 1) == MESSAGE end

local function has_message(h)
  for place = h.q, 1, -1 do
    if is_message(redis.call('LINDEX', KEY, 2 * place)) then return true end
  end
  return false
end

local function message(attempts, content, released)
  return MESSAGE .. attempts .. ((released or 0) > 0 and '-' .. released or '') .. ':' .. content
end

-- How often it was taken, its content, and how often it was given back in good order.
local function parse_message(entry)
  local attempts, released, content = string.match(entry, '^.(%d+)%-?(%d*):(.*)$')
  return tonumber(attempts), content, tonumber(released) or 0
end

-- The list indices of all markers of a turn: its message's, and those of callers in line.
local function places(h, turn_id)
  if h.q == 0 then return {} end
  return redis.call('LPOS', KEY, MARKER .. turn_id, 'COUNT', 0, 'MAXLEN', 1 + 2 * h.q)
end

-- The list index of the marker of a queued message, or of the ticket that carries the token.
local function find_queued(h, turn_id, token)
  for _, index in ipairs(places(h, turn_id)) do
    local entry = redis.call('LINDEX', KEY, index + 1)
    local kind = string.sub(entry, 1, 1)
    if token and kind == TICKET and cjson.decode(string.sub(entry, 2)).k == token then return index end
    if not token and kind ~= TICKET then return index, entry end
  end
end

-- The commit id that its record will carry, and the record's payload.
local function parse_called_off(entry) return string.match(entry, '^.(%S+) ?(.*)$') end

-- A message that was called off keeps its place, for no record can be written while a turn is open.
local function called_off(entry)
  local commit_id, note = parse_called_off(entry)
  return { 'duplicate', record(commit_id, 0, 'cancelled', note), 0, {} }
end

-- Who is next: {ticket} or {message, turn_id, attempts}. A ticket whose caller stopped waiting, or
-- did not claim its turn in time, is passed over, and the one behind it is woken. A message that
-- was called off becomes a record. Only for a session that is free.
local function head(h)
  if h.h and h.h - NOW > CLAIM then h.h, changed = NOW + CLAIM, true end
  while h.q > 0 do
    local turn_id = string.sub(redis.call('LINDEX', KEY, 2 * h.q - 1), 2)
    local entry = redis.call('LINDEX', KEY, 2 * h.q)
    if is_message(entry) then
      local attempts, content, released = parse_message(entry)
      return { turn_id = turn_id, attempts = attempts, message = content, released = released }
    end
    local ticket = string.sub(entry, 1, 1) == TICKET and cjson.decode(string.sub(entry, 2))
    if ticket and math.min(ticket.d - NOW, ticket.p) > 0 and not (h.h and NOW >= h.h) then
      if not h.h then h.h, changed = NOW + CLAIM, true end
      ticket.turn_id = turn_id
      return ticket
    end
    unqueue(h, 2 * h.q - 1)
    if not ticket then
      local commit_id, note = parse_called_off(entry)
      write(h, turn_id, commit_id, 'cancelled', note)
    end
    h.h, wake = NOW + CLAIM, true
  end
  if h.h then h.h, changed = nil, true end
end

-- How long the head of the queue has the session to itself.
local function claim_left(h) return (h.h or NOW + CLAIM) - NOW end

-- The session is free: give the head of the queue a moment to claim it.
local function hand_over(h)
  h.h, changed = NOW + CLAIM, true
  wake = head(h)
end

local function will_tell(entry)
  if string.sub(entry, 1, 1) == TICKET then told[#told + 1] = cjson.decode(string.sub(entry, 2)) end
end

-- The open turn is in nobody's hands now: each caller in line may take it up, or learns how it stands.
local function tell_line(h)
  for place = h.q, 1, -1 do will_tell(redis.call('LINDEX', KEY, 2 * place)) end
end

-- The turn ends: who sent it again need not stand in line to the end to be told.
local function tell_senders(h, turn_id)
  for _, index in ipairs(places(h, turn_id)) do will_tell(redis.call('LINDEX', KEY, index + 1)) end
end

-- PUBLISH comes last and its failure is ignored: wake-ups are hints.
local function close(h)
  if wake == true then wake = head(h) end
  if changed then save(h) end
  for _, listener in ipairs(told) do redis.pcall('PUBLISH', CHANNEL .. listener.w, listener.k) end
  if wake and wake.k then redis.pcall('PUBLISH', CHANNEL .. wake.w, wake.k) end
  if wake and wake.message and not goes_on then redis.pcall('PUBLISH', READY, KEY) end
end
