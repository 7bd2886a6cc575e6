#!lua flags=allow-oom
-- dead_letter(turn_id, token, dead_letter_id) -> done | stale | gone
-- The dead letter has been written already.
local turn_id, token, dead_letter_id = ARGV[7], ARGV[8], ARGV[9]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'gone' } end
local commit_id = 'dead-' .. token
if not holds(header, turn_id, token) then return done_before(header, turn_id, commit_id) or stale(header) end
return end_turn(header, commit_id, 'dead', dead_letter_id)
