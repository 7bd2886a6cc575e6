#!lua flags=allow-oom
-- cancel(turn_id) -> flagged | dropped | absent | duplicate
local turn_id = ARGV[7]
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end

local t = h.t
if t and t.id == turn_id then
  if t.s == 'running' and remaining(t) > 0 then
    t.x, changed, wake = 1, true, { k = t.k, w = t.w }
    close(h)
    return { 'flagged' }
  end
  local place = t.b and find_queued(h, turn_id)
  drop_turn(h)
  write(h, turn_id, MINT, 'cancelled', '')
  if place then unqueue(h, place) end
  expire(h)
  hand_over(h)
  close(h)
  return { 'dropped' }
end

local index, entry = find_queued(h, turn_id)
if index then
  if is_message(entry) then
    redis.call('LSET', KEY, index + 1, CALLED_OFF .. MINT)
    if not h.t then wake = true end
    close(h)
  end
  return { 'dropped' }
end

local p = find(h, turn_id)
if not p then return { 'absent' } end
local kind = string.match(record_at(h, p), '^%S+ %d+ %d+ (%S+)')
return kind == 'cancelled' and { 'dropped' } or duplicate(h, p)
