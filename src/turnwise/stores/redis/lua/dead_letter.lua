#!lua flags=allow-oom
-- dead_letter(turn_id, token, letter) -> ok | stale | gone
-- letter: the id of the dead letter, which has been written.
local turn_id, token, letter = ARGV[7], ARGV[8], ARGV[9]
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'gone' } end
local commit_id = 'dead-' .. token
if not holds(h, turn_id, token) then return repeated(h, turn_id, commit_id) or stale(h) end
return ending(h, commit_id, 'dead', letter)
