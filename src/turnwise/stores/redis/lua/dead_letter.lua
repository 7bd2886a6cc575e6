#!lua flags=allow-oom
-- dead_letter(turn_id, token, dead_letter_id, letter) -> done | stale | gone
-- The dead letter has been written already. A turn that the session is stopped at needs no token: its
-- letter names it.
local turn_id, token, dead_letter_id, letter = ARGV[8], ARGV[9], ARGV[10], ARGV[11]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'gone' } end
local commit_id = 'dead-' .. token
if not holds(header, turn_id, token) and not is_stopped_at(header, turn_id, letter) then
  return done_before(header, turn_id, commit_id) or stale(header)
end
return end_turn(header, commit_id, 'dead', dead_letter_id)
