#!lua flags=no-writes
-- status(turn_id) -> running, worker, attempt, remaining, cancelled, background
--   | waiting | queued | duplicate | absent
local turn_id = ARGV[7]
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local t = h.t
if t and t.id == turn_id then
  if waits(t) then
    local first = at(h, h.e) + (t.y or journal_length(h)) - 1
    return { 'waiting', turn_id, redis.call('LRANGE', KEY, first, first + READ - 1) }
  end
  return { 'running', turn_id, t.w, t.a, remaining(t), t.x or 0, t.b or 0 }
end
local index, entry = find_queued(h, turn_id)
if index then
  if not is_message(entry) then return called_off(entry) end
  local attempts, _, released = parse_message(entry)
  return { 'queued', '', turn_id, 0, h.q - (index + 1) / 2, attempts - released }
end
local p = find(h, turn_id)
if not p then return { 'absent' } end
return duplicate(h, p)
