#!lua flags=allow-oom
-- release(turn_id, token, counted, delay_ms, decided, attempt) -> ok, 1 if the turn was held so, else 0
-- The turn stays open with its journal, its lease is over. A direct turn without a journal is removed.
-- delay_ms: how long no other attempt at a message begins. decided: 1 if workers continue a parked turn.
-- attempt: an operator holds no token. Whoever has this attempt loses the turn; `token` names the call.
local turn_id, token, counted, delay_ms = ARGV[8], ARGV[9], ARGV[10] == '1', tonumber(ARGV[11])
local decided, attempt = ARGV[12], tonumber(ARGV[13])

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'ok', 0 } end

local turn, was_finished = header.turn, is_finished(header, token)
local is_held = holds(header, turn_id, token)
if attempt and not was_finished then
  is_held = turn and turn.id == turn_id and turn.state == 'running' and turn.attempt == attempt
end
if is_held then
  if attempt then
    finish_token(header, turn.token)
    tickets_to_wake = { { token = turn.token, worker = turn.worker } }
  end
  local has_journal = journal_length(header) > 0 -- below 0 if an operator cut the list
  if not turn.background and not turn.was_parked and not has_journal then
    close_turn(header)
    offer_to_head(header)
  else
    turn.token, turn.deadline, changed = NEW_ID, NOW, true
    count_end(header, counted and 'failed' or 'released')
    if decided ~= '' then turn.decided = decided == '1' and turn.background or nil end
    if not turn.background or turn.was_parked then wake_all(header) end
    if turn.background and (turn.decided or not turn.was_parked) and delay_ms > 0 then
      turn.delay_ms = delay_ms
      outlive(header, delay_ms)
    else
      next_up = { content = '' } -- its message
    end
  end
else
  leave_queue(header, turn_id, token)
end
finish_token(header, token)
save_or_delete(header)
return { 'ok', (is_held or was_finished) and 1 or 0 }
