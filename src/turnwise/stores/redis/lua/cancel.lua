#!lua flags=allow-oom
-- cancel(turn_id or '' for whichever is open) -> flagged | dropped | absent | duplicate
local turn_id = ARGV[7]
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local t = h.t
if t and (turn_id == '' or t.id == turn_id) then
  if t.s == 'running' and remaining(t) > 0 then
    t.x, changed = 1, true
    wake = { k = t.k, w = t.w }
    close(h)
    return { 'flagged' }
  end
  drop_turn(h)
  write_nothing(h, t.id, MINT, 'cancelled')
  if t.b then unqueue(h, find_queued(h, t.id)) end
  hand_over(h)
  expire(h)
  close(h)
  return { 'dropped' }
end
if turn_id == '' then return { 'absent' } end
local index = find_queued(h, turn_id)
if not index then
  local p = find(h, turn_id)
  return p and duplicate(h, p) or { 'absent' }
end
redis.call('LSET', KEY, index + 1, CALLED_OFF)
if not h.t then wake, changed = true, true end
close(h)
return { 'dropped' }
