-- The open turn: who holds it, and what it means for everybody else.
local function is_finished(header, token)
  return string.find(' ' .. header.finished_tokens .. ' ', ' ' .. token .. ' ', 1, true) ~= nil
end

local function finish_token(header, token)
  if is_finished(header, token) then return end
  local tokens = {}
  for known in string.gmatch(header.finished_tokens, '%S+') do tokens[#tokens + 1] = known end
  tokens[#tokens + 1] = token
  header.finished_tokens = table.concat(tokens, ' ', math.max(1, #tokens - FINISHED_TOKENS + 1))
  changed = true
end

-- What is left of the lease, in ms. A deadline further off than the lease is long: the clock was set.
local function lease_left(turn)
  if turn.deadline - NOW > turn.lease_ms then turn.deadline, changed = NOW + turn.lease_ms, true end
  return turn.deadline - NOW
end

-- How long until another attempt at a message may begin, in ms: the lease, and the pause after it.
local function next_attempt_in(turn) return lease_left(turn) + (turn.delay_ms or 0) end

-- The answer for a turn that is stopped or parked; nil for any other. A turn is parked again if the
-- worker that resumed it died.
local function suspended(turn)
  if turn.state == 'stopped' then return { 'stopped', turn.id } end
  if turn.state == 'parked' or turn.was_parked and lease_left(turn) <= 0 then return { 'parked', turn.id } end
end

local function is_stopped_at(header, turn_id, letter)
  local turn = header.turn
  return turn and turn.id == turn_id and turn.state == 'stopped' and journal_entry(header, 0) == letter
end

local function holds(header, turn_id, token)
  local turn = header.turn
  return turn and turn.state == 'running' and turn.token == token and turn.id == turn_id
end

local function busy(worker, turn_id, left_ms) return { 'busy', worker or '', turn_id, math.max(0, left_ms) } end

-- Copies the attempts of the open turn into its message, if it has one.
local function count_attempts(header)
  local turn = header.turn
  if not turn.background then return end
  local index, entry = find_message(header, turn.id)
  local message = parse_message(entry)
  message.attempts, message.released, message.failed = turn.attempt, turn.released or 0, turn.failed or 0
  redis.call('LSET', KEY, index + 1, make_message(message))
end

-- How the open turn's attempt ended: 'released' or 'failed'. One that ends otherwise died.
local function count_end(header, how)
  local turn = header.turn
  turn[how], turn.alone, changed = (turn[how] or 0) + 1, nil, true
  count_attempts(header)
end

-- Attempts that ended with the death of their workers.
local function deaths(attempts, released, failed) return attempts - (released or 0) - (failed or 0) end

-- Removes the open turn and its journal.
local function close_turn(header)
  clear_journal(header)
  finish_token(header, header.turn.token)
  header.turn, changed = nil, true
end

-- Removes a ticket from the queue, if there is one.
local function leave_queue(header, turn_id, token)
  local index = find_ticket(header, turn_id, token)
  if not index then return false end
  local was_head = index == 2 * header.queued - 1
  dequeue(header, index)
  if was_head and not header.turn then offer_to_head(header) end
  return true
end

-- The answer to whoever wants the session while a turn is open; nil if nothing blocks it any more.
-- A dead turn with an empty journal is dropped. One with a journal blocks for one more lease, unless
-- nobody can send it again; then it is abandoned. A message's turn is only taken over, by `next`.
local function blocked(header)
  local turn = header.turn
  if not turn then return nil end
  local answer = suspended(turn)
  if answer then return answer end
  local left_ms = lease_left(turn)
  if left_ms > 0 or turn.background then return busy(turn.worker, turn.id, next_attempt_in(turn)) end
  local has_journal = journal_length(header) > 0
  local grace_left_ms = left_ms + turn.lease_ms
  if has_journal and not turn.one_shot and grace_left_ms > 0 then return busy(turn.worker, turn.id, grace_left_ms) end
  close_turn(header)
  if has_journal then
    wake_senders(header, turn.id)
    write_turn(header, turn.id, NEW_ID, 'abandoned', '', nil, nil, run_of(turn))
    refresh_expiry(header)
  end
  header.head_deadline, next_up = NOW + HEAD_TIMEOUT_MS, true
  return nil
end

local function stale(header) return { 'stale', header.incarnation } end

local function done(header) return { 'done', header.elements, header.commit_id } end

-- The answer to a change that took effect before: it names the history that the change left.
local function done_before(header, turn_id, commit_id)
  if header.commit_id == commit_id then return done(header) end
  local position = find_turn(header, turn_id)
  if not position or parse_record(record_of(header, position)) ~= commit_id then return nil end
  return { 'done', position + 2, commit_id }
end

-- The open turn becomes history, its message leaves the queue, and whoever is next is woken.
local function end_turn(header, commit_id, kind, payload, usage, first, cut)
  local turn = header.turn
  local message = turn.background and find_message(header, turn.id)
  wake_senders(header, turn.id)
  worker_continues = turn.background and not turn.was_parked and turn.state == 'running' and lease_left(turn) > 0
  close_turn(header)
  write_turn(header, turn.id, commit_id, kind, payload, first, cut, run_of(turn, usage))
  if usage then add_usage(header, usage) end
  if message then dequeue(header, message) end
  refresh_expiry(header)
  local answer = done(header)
  offer_to_head(header)
  save_and_wake(header)
  return answer
end

-- The end of a verb after which its token holds nothing. A session with nothing to keep is deleted.
local function save_or_delete(header)
  if header.commits == 0 and header.queued == 0 and not header.turn then
    redis.call('DEL', KEY)
  else
    save_and_wake(header)
  end
  return { 'ok' }
end

-- Gives the session to a worker. A takeover inherits the counts of attempts, the request to cancel,
-- and where it was parked. `message`: of a turn that was not open; the caller stores its attempts.
local function open_turn(header, turn_id, token, worker, lease_ms, message, one_shot, alone)
  local before = header.turn or {}
  local counts = message or before
  local released, failed = counts.released or 0, counts.failed or 0
  if header.turn then finish_token(header, before.token) end
  header.turn = {
    id = turn_id, token = token, worker = worker, attempt = (counts.attempt or counts.attempts or 0) + 1,
    deadline = NOW + lease_ms, lease_ms = lease_ms, state = 'running',
    background = message and true or before.background, one_shot = one_shot or nil,
    released = released > 0 and released or nil, failed = failed > 0 and failed or nil,
    alone = alone or nil, died_alone = before.died_alone or before.alone,
    cancel_mode = before.cancel_mode, cancel_reason = before.cancel_reason, was_parked = before.was_parked,
    decided = before.decided,
  }
  if not message then count_attempts(header) end
  header.head_deadline, changed, next_up = nil, true, nil
  outlive(header, lease_ms)
end

local function granted(header, position, commit_id, message)
  local turn = header.turn
  local start, elements = history_since(header, position, commit_id)
  local length = journal_length(header)
  local journal = length > 0 and length <= READ_LIMIT and redis.call('LRANGE', KEY, -length, -1) or {}
  return {
    'granted', header.incarnation, turn.id, turn.attempt, turn.cancel_mode or '', header.elements,
    header.commit_id, header.items, start, elements, length, journal, message or false,
    turn.released or 0, turn.cancel_reason or '', turn.failed or 0, turn.died_alone and 1 or 0,
    header.bytes, MAX_BYTES, header.owner or '',
  }
end
