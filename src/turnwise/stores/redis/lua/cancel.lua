#!lua flags=allow-oom
-- cancel(turn_id, keep, force, open_only, note)
--   -> flagged, worker | dropped, worker, payload | absent | duplicate
local turn_id, keep, force, open_only, note = ARGV[7], ARGV[8] == '1', ARGV[9] == '1', ARGV[10] == '1', ARGV[11]
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end

local t = h.t
if t and t.id == turn_id then
  if keep and waits(t) then return { 'absent' } end
  if not t.n and note ~= '' then t.n = note end
  if t.s == 'running' and remaining(t) > 0 then
    told = { { k = t.k, w = t.w } }
    if not force then
      t.x, changed = keep and t.x ~= 1 and 2 or 1, true
      close(h)
      return { 'flagged', t.w }
    end
  end
  ending(h, MINT, 'cancelled', t.n or '')
  return { 'dropped', t.w, t.n or '' }
end

local index, entry = find_queued(h, turn_id)
if index then
  if is_message(entry) then
    if open_only then return { 'absent' } end
    entry = CALLED_OFF .. MINT .. (note ~= '' and ' ' .. note or '')
    redis.call('LSET', KEY, index + 1, entry)
    if not h.t then wake = true end
    tell_senders(h, turn_id)
    close(h)
  end
  local _, first_note = parse_called_off(entry)
  return { 'dropped', '', first_note }
end

local p = find(h, turn_id)
if not p then return { 'absent' } end
local items, kind, payload = string.match(record_at(h, p), '^%S+ %d+ (%d+) (%S+) (.*)$')
return kind == 'cancelled' and items == '0' and { 'dropped', '', payload } or duplicate(h, p)
