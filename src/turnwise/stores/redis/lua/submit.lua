#!lua
-- submit(turn_id, message, announced_at, retry_of)
--   -> accepted, position | duplicate | busy | full | late | taken
-- announced_at: when the message was announced to workers (ms, server time); 0 if it was not.
-- retry_of: the id of the dead letter by which the turn is dead that is to be tried again.
local turn_id, content, announced_at, retry_of = ARGV[8], ARGV[9], tonumber(ARGV[10]), ARGV[11]

local header, refusal = load_or_create()
if refusal then return refusal end
local index, entry = find_message(header, turn_id)
if index then
  if not is_message(entry) then return cancelled_duplicate(entry) end
  return parse_message(entry).content == content and { 'accepted', header.queued - (index + 1) / 2 } or { 'duplicate', '', 0, {} }
end
local finished = find_turn(header, turn_id)
if finished then
  local _, _, kind, dead_letter_id = parse_record(record_of(header, finished))
  if kind ~= 'dead' or dead_letter_id ~= retry_of then return duplicate(header, finished) end
end
local turn = header.turn
if turn and turn.id == turn_id then return busy(turn.worker, turn.id, lease_left(turn)) end
if announced_at > 0 and NOW - announced_at > LATE_MS then return { 'late' } end
if header.queued >= MAX_QUEUE then return { 'full', MAX_QUEUE } end
local message = { attempts = 0, released = 0, failed = 0, submitted = NOW, content = content }
enqueue(header, turn_id, make_message(message))
refresh_expiry(header)
save_and_wake(header)
return { 'accepted', header.queued - 1 }
