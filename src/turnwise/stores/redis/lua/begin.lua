#!lua
-- begin(turn_id, token, lease_ms, position, commit_id, worker, one_shot, resume, ticket_ms)
--   -> granted | busy | queued | parked | stopped | duplicate | stale | full | absent | taken
-- one_shot: nobody can have sent this turn_id before, except for a resend of this very call.
-- ticket_ms: how long to wait in the queue; 0 to not wait.
local turn_id, token, lease_ms = ARGV[8], ARGV[9], tonumber(ARGV[10])
local position, commit_id, worker = tonumber(ARGV[11]), ARGV[12], ARGV[13]
local one_shot, resume, ticket_ms = ARGV[14] == '1', ARGV[15] == '1', tonumber(ARGV[16])

local header, refusal = (resume and load or load_or_create)()
if refusal then return refusal end
if not header then return { 'absent' } end
if is_finished(header, token) then return stale(header) end
if holds(header, turn_id, token) then return granted(header, position, commit_id) end

local turn = header.turn
local is_open = turn and turn.id == turn_id
local finished = not is_open and find_turn(header, turn_id, one_shot and RECENT_ELEMENTS)
local message, entry
if not is_open and not one_shot then message, entry = find_message(header, turn_id) end
if finished or message then
  local answer
  if not message then -- a message in the queue may be a dead turn's that is tried again
    answer = duplicate(header, finished)
  else
    answer = is_message(entry) and { 'queued', '', turn_id, 0 } or cancelled_duplicate(entry)
  end
  if leave_queue(header, turn_id, token) then save_and_wake(header) end
  return answer
end
if resume and not is_open then return { 'absent' } end

local takeover = false
if is_open and turn.state == 'parked' then
  takeover = resume and turn.token ~= token -- with the token that parked it, this begin comes late
elseif is_open and turn.was_parked then
  takeover = resume and suspended(turn)
elseif is_open and turn.state == 'running' then
  takeover = not turn.background and lease_left(turn) <= 0
end
local ticket = find_ticket(header, turn_id, token)
if takeover then
  if ticket then dequeue(header, ticket) end
  open_turn(header, turn_id, token, worker, lease_ms)
  save_and_wake(header)
  return granted(header, position, commit_id)
end

local answer = blocked(header)
local first = not answer and head(header)
if first then answer = busy(first.worker, first.turn_id, head_time_left(header)) end

if ticket then ticket = find_ticket(header, turn_id, token) end -- it may have been passed over
if first and ticket and first.token == token then
  dequeue(header, ticket)
  answer = nil
end

if not answer then
  open_turn(header, turn_id, token, worker, lease_ms, nil, one_shot)
  save_and_wake(header)
  return granted(header, position, commit_id)
end

if answer[1] == 'busy' and ticket_ms > 0 then
  if not ticket and header.queued >= MAX_QUEUE then
    answer = { 'full', MAX_QUEUE }
  else
    if not ticket then enqueue(header, turn_id, make_ticket(token, worker, ticket_ms)) end
    answer[1] = 'queued'
  end
end
save_and_wake(header)
return answer
