#!lua flags=allow-oom
-- cancel(turn_id, keep, force) -> flagged, worker | dropped, worker | absent | duplicate
local turn_id, keep, force = ARGV[7], ARGV[8] == '1', ARGV[9] == '1'
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end

local t = h.t
if t and t.id == turn_id then
  if keep and waits(t) then return { 'absent' } end
  if t.s == 'running' and remaining(t) > 0 then
    told = { k = t.k, w = t.w }
    if not force then
      t.x, changed = keep and t.x ~= 1 and 2 or 1, true
      close(h)
      return { 'flagged', t.w }
    end
  end
  ending(h, MINT, 'cancelled', '')
  return { 'dropped', t.w }
end

local index, entry = find_queued(h, turn_id)
if index then
  if is_message(entry) then
    redis.call('LSET', KEY, index + 1, CALLED_OFF .. MINT)
    if not h.t then wake = true end
    close(h)
  end
  return { 'dropped', '' }
end

local p = find(h, turn_id)
if not p then return { 'absent' } end
local kind = string.match(record_at(h, p), '^%S+ %d+ %d+ (%S+)')
return kind == 'cancelled' and { 'dropped', '' } or duplicate(h, p)
