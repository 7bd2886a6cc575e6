#!lua flags=allow-oom
-- park(turn_id, token, state) -> done | stale | gone
-- The turn stays open without a lease; `state`, which holds all that it has done, replaces its journal.
-- A resend finds it there, also if the turn was resumed since.
local turn_id, token, state = ARGV[8], ARGV[9], ARGV[10]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'gone' } end
local turn = header.turn
if not holds(header, turn_id, token) then
  local known = turn and turn.id == turn_id and turn.was_parked and journal_entry(header, 0) == state
  return known and done(header) or stale(header)
end
turn.state, turn.was_parked, turn.decided, turn.deadline = 'parked', true, nil, NOW
clear_journal(header)
redis.call('RPUSH', KEY, state)
if turn.cancel_mode == 'keep' then turn.cancel_mode = nil end
count_end(header, 'released')
refresh_expiry(header)
wake_all(header)
save_and_wake(header)
return done(header)
