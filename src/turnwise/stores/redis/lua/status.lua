#!lua flags=no-writes
-- status(turn_id) -> running, turn_id, worker, attempt, remaining_ms, cancel_mode, background, retry_in_ms
--   | parked, turn_id, journal | stopped, turn_id, letter, stopped_at | queued | duplicate | absent
local turn_id = ARGV[8]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end
local turn = header.turn
if turn and turn.id == turn_id then
  local answer = suspended(turn)
  if turn.state == 'stopped' then return { 'stopped', turn_id, journal_entry(header, 0), turn.stopped_at } end
  if answer then
    local first = index_of(header, header.elements)
    return { 'parked', turn_id, redis.call('LRANGE', KEY, first, first + READ_LIMIT - 1) }
  end
  local left_ms, background = lease_left(turn), turn.background and 1 or 0
  local retry_in_ms = turn.delay_ms and math.max(0, next_attempt_in(turn)) or 0
  return { 'running', turn_id, turn.worker, turn.attempt, left_ms, turn.cancel_mode or '', background, retry_in_ms }
end
local index, entry = find_message(header, turn_id)
if index then
  if not is_message(entry) then return cancelled_duplicate(entry) end
  local message = parse_message(entry)
  local position, waiting_ms = header.queued - (index + 1) / 2, NOW - message.submitted
  return { 'queued', '', turn_id, 0, position, message.attempts - message.released, waiting_ms }
end
local finished = find_turn(header, turn_id)
return finished and duplicate(header, finished) or { 'absent' }
