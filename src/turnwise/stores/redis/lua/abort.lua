#!lua flags=allow-oom
-- abort(turn_id, token) -> ok
-- A token that holds nothing is finished all the same: its begin may still be on the way.
local turn_id, token = ARGV[7], ARGV[8]
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'ok' } end
if holds(h, turn_id, token) then
  drop_turn(h)
  hand_over(h)
else
  leave(h, turn_id, token)
  finish(h, token)
end
return leave_all(h)
