#!lua
-- submit(turn_id, message, intent) -> ok, position | duplicate | full | late
-- intent: when the ready stream was told (ms, server time), 0 where there is none.
local turn_id, message, intent = ARGV[7], ARGV[8], tonumber(ARGV[9])
local h, refusal = load()
if refusal then return refusal end
h = h or create()
local index, entry = find_queued(h, turn_id)
if index then
  local same = string.match(entry, '^.%d+:(.*)$') == message
  return same and { 'ok', h.q - (index + 1) / 2 } or { 'duplicate', '', 0, {} }
end
local p = find(h, turn_id)
if p then return duplicate(h, p) end
if h.t and h.t.id == turn_id then return { 'duplicate', '', 0, {} } end
if intent > 0 and NOW - intent > 10000 then return { 'late' } end
if h.q >= MAX_QUEUE then return { 'full', MAX_QUEUE } end
enqueue(h, turn_id, MESSAGE .. '0:' .. message)
expire(h)
close(h)
return { 'ok', h.q - 1 }
