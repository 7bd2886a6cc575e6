#!lua flags=allow-oom
-- release(turn_id, token, counted, delay) -> ok
-- The turn stays open with its journal, and its lease has run out. A direct turn with none is gone.
-- delay: ms before which no other attempt at a message begins.
local turn_id, token, counted, delay = ARGV[7], ARGV[8], ARGV[9] == '1', tonumber(ARGV[10])
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'ok' } end
if holds(h, turn_id, token) then
  local t = h.t
  if not t.b and not t.y and journal_length(h) <= 0 then -- below 0 where somebody cut the list
    drop_turn(h)
    hand_over(h)
  else
    t.k, t.d, changed = MINT, NOW, true
    if not counted then excuse(h) end
    if not t.b or t.y then
      tell_line(h)
    elseif delay > 0 then
      t.l = delay
      outlive(h, delay)
    end
  end
else
  leave(h, turn_id, token)
end
finish(h, token)
return leave_all(h)
