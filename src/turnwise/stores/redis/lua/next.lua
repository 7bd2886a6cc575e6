#!lua
-- next(token, lease, position, commit_id, worker) -> granted | busy | waiting | idle | stale
-- The oldest message is opened as a turn. It stays in the queue until its commit.
local token, lease = ARGV[7], tonumber(ARGV[8])
local position, commit_id, worker = tonumber(ARGV[9]), ARGV[10], ARGV[11]

local h, refusal = load()
if refusal then return refusal end
if not h then return { 'idle' } end
if is_finished(h, token) then return stale(h) end

local t = h.t
if t and t.b and not waits(t) then
  local index, entry = find_queued(h, t.id)
  local _, content, released = parse_message(entry)
  if t.k == token then return granted(h, position, commit_id, content) end
  if kept_for(t) > 0 then
    close(h) -- the clock may have been set
    return busy(t, kept_for(t))
  end
  redis.call('LSET', KEY, index + 1, message(t.a + 1, content, released))
  open(h, t.id, token, worker, lease, t.a + 1, true, released)
  close(h)
  return granted(h, position, commit_id, content)
end

-- A dead turn with no message behind it is nobody's business here, and may be gone on with.
if t and not waits(t) and remaining(t) <= 0 and not has_message(h) then return { 'idle' } end

local answer = blocked(h)
local first = not answer and head(h)
if first and not first.message then answer = busy({ w = first.w, id = first.turn_id }, claim_left(h)) end
if not answer and first then
  redis.call('LSET', KEY, 2 * h.q, message(first.attempts + 1, first.message, first.released))
  open(h, first.turn_id, token, worker, lease, first.attempts + 1, true, first.released)
  close(h)
  return granted(h, position, commit_id, first.message)
end
close(h)
return answer or { 'idle' }
