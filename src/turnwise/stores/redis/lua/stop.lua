#!lua flags=allow-oom
-- stop(turn_id, token, letter) -> done | stale | gone
-- The session stops at this turn: it stays open without a lease, and `letter` replaces its journal.
local turn_id, token, letter = ARGV[8], ARGV[9], ARGV[10]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'gone' } end
if not holds(header, turn_id, token) then
  return is_stopped_at(header, turn_id, letter) and done(header) or stale(header)
end
clear_journal(header)
redis.call('RPUSH', KEY, letter)
local turn = header.turn
turn.state, turn.stopped_at, turn.was_parked, turn.cancel_mode = 'stopped', NOW, nil, nil
turn.decided = nil
changed = true
refresh_expiry(header)
wake_all(header)
save_and_wake(header)
return done(header)
