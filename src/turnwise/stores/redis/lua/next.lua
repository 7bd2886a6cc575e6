#!lua
-- next(token, lease_ms, position, commit_id, worker) -> granted | busy | parked | stopped | idle | stale
-- Opens the oldest message as a turn. It stays in the queue until its commit.
local token, lease_ms = ARGV[7], tonumber(ARGV[8])
local position, commit_id, worker = tonumber(ARGV[9]), ARGV[10], ARGV[11]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'idle' } end
if is_finished(header, token) then return stale(header) end

local turn = header.turn
if turn and turn.background and not suspended(turn) then
  local message, entry = find_message(header, turn.id)
  local _, content, released = parse_message(entry)
  if turn.token == token then return granted(header, position, commit_id, content) end
  local left_ms = next_attempt_in(turn)
  if left_ms > 0 then
    save_and_wake(header) -- the clock may have been set
    return busy(turn.worker, turn.id, left_ms)
  end
  redis.call('LSET', KEY, message + 1, make_message(turn.attempt + 1, content, released))
  open_turn(header, turn.id, token, worker, lease_ms, turn.attempt + 1, true, released)
  save_and_wake(header)
  return granted(header, position, commit_id, content)
end

-- A dead direct turn stays as it is while no message waits behind it: its sender may come back.
if turn and not suspended(turn) and lease_left(turn) <= 0 and not has_message(header) then return { 'idle' } end

local answer = blocked(header)
local first = not answer and head(header)
if first and not first.message then answer = busy(first.worker, first.turn_id, head_time_left(header)) end
if not answer and first then
  local attempt = first.attempts + 1
  redis.call('LSET', KEY, 2 * header.queued, make_message(attempt, first.message, first.released))
  open_turn(header, first.turn_id, token, worker, lease_ms, attempt, true, first.released)
  save_and_wake(header)
  return granted(header, position, commit_id, first.message)
end
save_and_wake(header)
return answer or { 'idle' }
