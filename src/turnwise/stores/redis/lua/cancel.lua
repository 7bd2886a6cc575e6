#!lua flags=allow-oom
-- cancel(turn_id, keep, force, open_only, reason)
--   -> flagged, worker | dropped, worker, payload | absent | duplicate
local turn_id, keep, force = ARGV[8], ARGV[9] == '1', ARGV[10] == '1'
local open_only, reason = ARGV[11] == '1', ARGV[12]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end

local turn = header.turn
if turn and turn.id == turn_id then
  if keep and suspended(turn) then return { 'absent' } end
  if not turn.cancel_reason and reason ~= '' then turn.cancel_reason = reason end
  if turn.state == 'running' and lease_left(turn) > 0 then
    tickets_to_wake = { { token = turn.token, worker = turn.worker } }
    if not force then
      turn.cancel_mode, changed = keep and turn.cancel_mode ~= 'drop' and 'keep' or 'drop', true
      save_and_wake(header)
      return { 'flagged', turn.worker }
    end
  end
  local payload = turn.cancel_reason or ''
  end_turn(header, NEW_ID, 'cancelled', payload)
  return { 'dropped', turn.worker, payload }
end

local message, entry = find_message(header, turn_id)
if message then
  if is_message(entry) then
    if open_only then return { 'absent' } end
    entry = CANCELLED_MESSAGE .. NEW_ID .. (reason ~= '' and ' ' .. reason or '')
    redis.call('LSET', KEY, message + 1, entry)
    if not header.turn then next_up = true end
    wake_senders(header, turn_id)
    save_and_wake(header)
  end
  local _, payload = parse_cancelled(entry)
  return { 'dropped', '', payload }
end

local finished = find_turn(header, turn_id)
if not finished then return { 'absent' } end
local _, items, kind, payload = parse_record(record_of(header, finished))
return kind == 'cancelled' and items == 0 and { 'dropped', '', payload } or duplicate(header, finished)
