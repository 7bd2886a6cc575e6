#!lua flags=no-writes
-- status(turn_id) -> running, turn_id, worker, attempt, remaining_ms, cancel_mode, background
--   | parked, turn_id, journal | stopped, turn_id, letter, stopped_at | queued | duplicate | absent
local turn_id = ARGV[7]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end
local turn = header.turn
if turn and turn.id == turn_id then
  local answer = suspended(turn)
  if turn.state == 'stopped' then return { 'stopped', turn_id, journal_entry(header, 0), turn.stopped_at } end
  if answer then
    local first = index_of(header, header.elements) + turn.parked_index
    return { 'parked', turn_id, redis.call('LRANGE', KEY, first, first + READ_LIMIT - 1) }
  end
  local background = turn.background and 1 or 0
  return { 'running', turn_id, turn.worker, turn.attempt, lease_left(turn), turn.cancel_mode or '', background }
end
local index, entry = find_message(header, turn_id)
if index then
  if not is_message(entry) then return cancelled_duplicate(entry) end
  local attempts, _, released = parse_message(entry)
  return { 'queued', '', turn_id, 0, header.queued - (index + 1) / 2, attempts - released }
end
local finished = find_turn(header, turn_id)
return finished and duplicate(header, finished) or { 'absent' }
