#!lua
-- submit(turn_id, message, intent, again) -> ok, position | duplicate | busy | full | late
-- intent: when the ready stream was told (ms, server time), 0 where there is none.
-- again: the letter by which the turn is dead that is to be tried anew.
local turn_id, content, intent, again = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local h, refusal = load()
if refusal then return refusal end
h = h or create()
local index, entry = find_queued(h, turn_id)
if index then
  if not is_message(entry) then return called_off(entry) end
  local _, queued = parse_message(entry)
  return queued == content and { 'ok', h.q - (index + 1) / 2 } or { 'duplicate', '', 0, {} }
end
local p = find(h, turn_id)
if p then
  local kind, letter = string.match(record_at(h, p), '^%S+ %d+ %d+ (%S+) (.*)$')
  if kind ~= 'dead' or letter ~= again then return duplicate(h, p) end
end
if h.t and h.t.id == turn_id then return busy(h.t, remaining(h.t)) end
if intent > 0 and NOW - intent > 10000 then return { 'late' } end
if h.q >= MAX_QUEUE then return { 'full', MAX_QUEUE } end
enqueue(h, turn_id, message(0, content))
refresh_expiry(h)
close(h)
return { 'ok', h.q - 1 }
