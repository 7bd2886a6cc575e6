#!lua
-- next(token, lease_ms, position, commit_id, worker, alone, max_deaths)
--   -> granted | suspect, turn_id, deaths | busy | parked | stopped | idle | stale
-- Opens the oldest message as a turn. It stays in the queue until its commit.
-- alone: the worker runs no other message. max_deaths: of one that may be opened; -1 for any.
local token, lease_ms = ARGV[8], tonumber(ARGV[9])
local position, commit_id, worker = tonumber(ARGV[10]), ARGV[11], ARGV[12]
local alone, max_deaths = ARGV[13] == '1', tonumber(ARGV[14])

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'idle' } end
if is_finished(header, token) then return stale(header) end

-- The answer for a message that this worker may not open now; nil if it may.
local function suspect(turn_id, died)
  if max_deaths < 0 or died <= max_deaths then return nil end
  save_and_wake(header)
  return { 'suspect', turn_id, died }
end

local turn = header.turn
if turn and turn.background and (turn.decided or not suspended(turn)) then
  local _, entry = find_message(header, turn.id)
  local content = parse_message(entry).content
  if turn.token == token then return granted(header, position, commit_id, content) end
  local left_ms = next_attempt_in(turn)
  if left_ms > 0 then
    save_and_wake(header) -- the clock may have been set
    return busy(turn.worker, turn.id, left_ms)
  end
  local answer = suspect(turn.id, deaths(turn.attempt, turn.released, turn.failed))
  if answer then return answer end
  open_turn(header, turn.id, token, worker, lease_ms, nil, nil, alone)
  save_and_wake(header)
  return granted(header, position, commit_id, content)
end

-- A dead direct turn stays as it is while no message waits behind it: its sender may come back.
if turn and not suspended(turn) and lease_left(turn) <= 0 and not has_message(header) then return { 'idle' } end

local answer = blocked(header)
local first = not answer and head(header)
if first and not first.content then answer = busy(first.worker, first.turn_id, head_time_left(header)) end
if not answer and first then
  answer = suspect(first.turn_id, deaths(first.attempts, first.released, first.failed))
  if answer then return answer end
  open_turn(header, first.turn_id, token, worker, lease_ms, first, nil, alone)
  first.attempts = header.turn.attempt
  redis.call('LSET', KEY, 2 * header.queued, make_message(first))
  save_and_wake(header)
  return granted(header, position, commit_id, first.content)
end
save_and_wake(header)
return answer or { 'idle' }
