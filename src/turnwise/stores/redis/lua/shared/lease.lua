-- The open turn: who holds it, and what it means for everybody else.
local function is_finished(h, token) return string.find(' ' .. h.f .. ' ', ' ' .. token .. ' ', 1, true) ~= nil end

local function finish(h, token)
  if is_finished(h, token) then return end
  local tokens = {}
  for t in string.gmatch(h.f, '%S+') do tokens[#tokens + 1] = t end
  tokens[#tokens + 1] = token
  h.f, changed = table.concat(tokens, ' ', math.max(1, #tokens - TOKENS + 1)), true
end

-- How long its lease still runs. A deadline further off than the lease is long: the clock was set.
local function remaining(t)
  if t.d - NOW > t.p then t.d, changed = NOW + t.p, true end
  return t.d - NOW
end

-- How long the queue's turn is not taken over: for its lease, and the pause after a failed attempt.
local function kept_for(t) return remaining(t) + (t.l or 0) end

-- Whether it waits for an approval, or does so again: who took it up died.
local function waits(t) return t.s == 'waiting' or t.y and remaining(t) <= 0 end

local function holds(h, turn_id, token)
  local t = h.t
  return t and t.s == 'running' and t.k == token and t.id == turn_id
end

local function busy(t, left) return { 'busy', t.w or '', t.id, math.max(0, left) } end

-- The message of the open turn, if it has one, is told the turn's attempts.
local function recount(h)
  local t = h.t
  if not t.b then return end
  local index, entry = find_queued(h, t.id)
  local _, content = parse_message(entry)
  redis.call('LSET', KEY, index + 1, message(t.a, content, t.r))
end

-- The open turn's attempt ends in good order, and counts against no bound.
local function excuse(h)
  local t = h.t
  t.r, changed = (t.r or 0) + 1, true
  recount(h)
end

-- Takes the open turn away, and its journal with it.
local function drop_turn(h)
  trim_journal(h)
  finish(h, h.t.k)
  h.t, changed = nil, true
end

-- Takes a ticket out of the queue.
local function leave(h, turn_id, token)
  local place = find_queued(h, turn_id, token)
  if not place then return false end
  local was_head = place == 2 * h.q - 1
  unqueue(h, place)
  if was_head and not h.t then hand_over(h) end
  return true
end

-- The answer to whoever wants the session while a turn is open; nil when nothing stands in the way
-- (any more: a turn that died with nothing done is forgotten, one with a journal is discarded after
-- a grace of one lease, unless nobody can send it again; one from the queue is taken over from there
-- only).
local function blocked(h)
  local t = h.t
  if not t then return nil end
  if waits(t) then return { 'waiting', t.id } end
  local left = remaining(t)
  if left > 0 or t.b then return busy(t, kept_for(t)) end
  local half_done = journal_length(h) > 0
  if half_done and not t.f and left + t.p > 0 then return busy(t, left + t.p) end
  drop_turn(h)
  if half_done then
    tell_senders(h, t.id)
    write(h, t.id, MINT, 'abandoned', '')
    refresh_expiry(h)
  end
  h.h, wake = NOW + CLAIM, true
  return nil
end

local function stale(h) return { 'stale', h.i } end

local function done(h) return { 'ok', h.e, h.c } end

-- The answer to a change that took effect before: the history it left, as far as it still stands.
local function repeated(h, turn_id, commit_id)
  if h.c == commit_id then return done(h) end
  local p = find(h, turn_id)
  if not p then return nil end
  if string.sub(record_at(h, p), 2, #commit_id + 2) ~= commit_id .. ' ' then return nil end
  return { 'ok', p + 2, commit_id }
end

-- The open turn becomes history, its message leaves the queue, the next in line is woken.
local function ending(h, commit_id, kind, payload, first, plan)
  local t = h.t
  local place = t.b and find_queued(h, t.id)
  tell_senders(h, t.id)
  goes_on = t.b and not t.y and t.s == 'running' and remaining(t) > 0
  drop_turn(h)
  write(h, t.id, commit_id, kind, payload, first, plan)
  if place then unqueue(h, place) end
  refresh_expiry(h)
  local answer = done(h)
  hand_over(h)
  close(h)
  return answer
end

-- The end of a call whose token holds nothing more. A session with nothing to keep goes with it.
local function leave_all(h)
  if h.s == 0 and h.q == 0 and not h.t then
    redis.call('DEL', KEY)
  else
    close(h)
  end
  return { 'ok' }
end

-- Gives the session to a worker. A takeover is still asked to stop if the turn before it was.
local function open(h, turn_id, token, worker, lease, attempt, background, released, one_shot)
  local before = h.t or {}
  if h.t then finish(h, h.t.k) end
  h.t = { id = turn_id, k = token, w = worker, a = attempt, d = NOW + lease, p = lease, s = 'running' }
  h.t.x, h.t.n, h.t.y = before.x, before.n, before.y
  if background then h.t.b = 1 end
  if one_shot then h.t.f = 1 end
  if (released or 0) > 0 then h.t.r = released end
  h.h, changed, wake = nil, true, nil
  outlive(h, lease)
end

local function granted(h, position, commit_id, message)
  local start, elements = since(h, position, commit_id)
  local length = journal_length(h)
  local journal = length > 0 and length <= READ and redis.call('LRANGE', KEY, -length, -1) or {}
  return {
    'granted', h.i, h.t.id, h.t.a, h.t.x or 0, h.e, h.c, h.n, start, elements, length, journal, message or false,
    h.t.r or 0, h.t.n or '',
  }
end
