#!lua
-- submit(turn_id, message, intent) -> ok, position | duplicate | full | late
-- intent: when the ready stream was told (ms, server time), 0 where there is none.
local turn_id, content, intent = ARGV[7], ARGV[8], tonumber(ARGV[9])
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
if p then return duplicate(h, p) end
if h.t and h.t.id == turn_id then return { 'duplicate', '', 0, {} } end
if intent > 0 and NOW - intent > 10000 then return { 'late' } end
if h.q >= MAX_QUEUE then return { 'full', MAX_QUEUE } end
enqueue(h, turn_id, message(0, content))
expire(h)
close(h)
return { 'ok', h.q - 1 }
