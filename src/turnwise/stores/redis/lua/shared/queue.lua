-- The queue at the head of the list: messages, and the tickets of callers that wait.
local function enqueue(header, turn_id, entry)
  if is_new then save(header) end
  redis.call('LSET', KEY, 0, entry)
  redis.call('LPUSH', KEY, MARKER .. turn_id, '')
  header.queued, header.queue_changes, changed = header.queued + 1, header.queue_changes + 1, true
end

-- Removes the entry whose marker is at this list index.
local function dequeue(header, index)
  redis.call('LSET', KEY, index, TOMBSTONE)
  redis.call('LSET', KEY, index + 1, TOMBSTONE)
  redis.call('LREM', KEY, 2, TOMBSTONE)
  header.queued, header.queue_changes, changed = header.queued - 1, header.queue_changes + 1, true
end

local function is_message(entry) return string.sub(entry, 1, 1) == MESSAGE end

local function has_message(header)
  for number = header.queued, 1, -1 do
    if is_message(redis.call('LINDEX', KEY, 2 * number)) then return true end
  end
  return false
end

local function make_message(message)
  local counts = string.format('%d %d %d %.0f:', message.attempts, message.released, message.failed, message.submitted)
  return MESSAGE .. counts .. message.content
end

-- How often it was taken, how many of these attempts were released or failed, when it was submitted,
-- and its content.
local function parse_message(entry)
  local attempts, released, failed, submitted, content = string.match(entry, '^.(%d+) (%d+) (%d+) (%d+):(.*)$')
  return {
    attempts = tonumber(attempts), released = tonumber(released), failed = tonumber(failed),
    submitted = tonumber(submitted), content = content,
  }
end

local function make_ticket(token, worker, wait_ms)
  local ticket = { token = token, worker = worker, deadline = NOW + wait_ms, wait_ms = wait_ms }
  return TICKET .. cjson.encode(ticket)
end

-- nil for an entry that is no ticket.
local function parse_ticket(entry)
  return string.sub(entry, 1, 1) == TICKET and cjson.decode(string.sub(entry, 2)) or nil
end

-- The commit id that the record of a cancelled message will carry, and the record's payload.
local function parse_cancelled(entry) return string.match(entry, '^.(%S+) ?(.*)$') end

-- The list indexes of all markers of a turn: its message's, and those of callers that wait.
local function queue_indexes(header, turn_id)
  if header.queued == 0 then return {} end
  return redis.call('LPOS', KEY, MARKER .. turn_id, 'COUNT', 0, 'MAXLEN', 1 + 2 * header.queued)
end

-- The list index of the marker of a turn's message, and the message, which may be a cancelled one.
local function find_message(header, turn_id)
  for _, index in ipairs(queue_indexes(header, turn_id)) do
    local entry = redis.call('LINDEX', KEY, index + 1)
    if not parse_ticket(entry) then return index, entry end
  end
end

-- The list index of the marker of the ticket that carries the token.
local function find_ticket(header, turn_id, token)
  for _, index in ipairs(queue_indexes(header, turn_id)) do
    local ticket = parse_ticket(redis.call('LINDEX', KEY, index + 1))
    if ticket and ticket.token == token then return index end
  end
end

-- The answer for a cancelled message. It stays in the queue until it can become a record: none can
-- be written while a turn is open.
local function cancelled_duplicate(entry)
  local commit_id, reason = parse_cancelled(entry)
  return { 'duplicate', make_record(commit_id, 0, 'cancelled', reason), 0, {} }
end

-- Who is next on a free session: a ticket, or a message (it has `content`), with its turn_id. A ticket
-- whose caller stopped waiting, or did not begin in time, is passed over, and the entry behind it is
-- woken. A cancelled message becomes a record.
local function head(header)
  local latest = NOW + HEAD_TIMEOUT_MS
  if header.head_deadline and header.head_deadline > latest then header.head_deadline, changed = latest, true end
  while header.queued > 0 do
    local turn_id = string.sub(redis.call('LINDEX', KEY, 2 * header.queued - 1), 2)
    local entry = redis.call('LINDEX', KEY, 2 * header.queued)
    if is_message(entry) then
      local message = parse_message(entry)
      message.turn_id = turn_id
      return message
    end
    local ticket = parse_ticket(entry)
    local in_time = not (header.head_deadline and NOW >= header.head_deadline)
    if ticket and math.min(ticket.deadline - NOW, ticket.wait_ms) > 0 and in_time then
      if not header.head_deadline then header.head_deadline, changed = latest, true end
      ticket.turn_id = turn_id
      return ticket
    end
    dequeue(header, 2 * header.queued - 1)
    if not ticket then
      local commit_id, reason = parse_cancelled(entry)
      write_turn(header, turn_id, commit_id, 'cancelled', reason)
    end
    header.head_deadline, next_up = latest, true
  end
  if header.head_deadline then header.head_deadline, changed = nil, true end
end

-- How long the session is still reserved for the head of the queue, in ms.
local function head_time_left(header) return (header.head_deadline or NOW + HEAD_TIMEOUT_MS) - NOW end

-- The session is free: reserves it for the head of the queue for a moment, and wakes that.
local function offer_to_head(header)
  header.head_deadline, changed = NOW + HEAD_TIMEOUT_MS, true
  next_up = head(header)
end

local function wake_later(entry) tickets_to_wake[#tickets_to_wake + 1] = parse_ticket(entry) end

-- Nobody runs the open turn any more: each waiting caller may take it over, or learns its state.
local function wake_all(header)
  for number = header.queued, 1, -1 do wake_later(redis.call('LINDEX', KEY, 2 * number)) end
end

-- The turn ends: callers that wait with the same turn_id are answered at once.
local function wake_senders(header, turn_id)
  for _, index in ipairs(queue_indexes(header, turn_id)) do wake_later(redis.call('LINDEX', KEY, index + 1)) end
end

-- PUBLISH comes last, and its failure is ignored: wake-ups are hints.
local function save_and_wake(header)
  if next_up == true then next_up = head(header) end
  if changed then save(header) end
  for _, ticket in ipairs(tickets_to_wake) do redis.pcall('PUBLISH', WAKE_CHANNEL .. ticket.worker, ticket.token) end
  if next_up and next_up.token then redis.pcall('PUBLISH', WAKE_CHANNEL .. next_up.worker, next_up.token) end
  if next_up and next_up.content and not worker_continues then redis.pcall('PUBLISH', READY_CHANNEL, KEY) end
end
