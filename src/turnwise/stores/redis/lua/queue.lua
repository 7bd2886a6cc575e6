#!lua flags=no-writes
-- queue(count) -> queue, {turn_id, kind, attempts, waiting_ms, worker, content}... | absent
local count = tonumber(ARGV[8])

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end
local entries = {}
for number = header.queued, math.max(1, header.queued - count + 1), -1 do
  local turn_id = string.sub(redis.call('LINDEX', KEY, 2 * number - 1), 2)
  local entry = redis.call('LINDEX', KEY, 2 * number)
  local ticket = parse_ticket(entry)
  if ticket then
    local waiting_ms = math.max(0, ticket.wait_ms - (ticket.deadline - NOW))
    entries[#entries + 1] = { turn_id, 'caller', 0, waiting_ms, ticket.worker, '' }
  elseif is_message(entry) then
    local message = parse_message(entry)
    local attempts, waiting_ms = message.attempts - message.released, math.max(0, NOW - message.submitted)
    entries[#entries + 1] = { turn_id, 'message', attempts, waiting_ms, '', message.content }
  end
end
return { 'queue', entries }
