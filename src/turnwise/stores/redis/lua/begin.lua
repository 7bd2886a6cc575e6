#!lua
-- begin(turn_id, token, lease, position, commit_id, worker, one_shot, resume, ticket)
--   -> granted | busy | queued | waiting | duplicate | stale | full | absent
-- one_shot: nobody can have sent this turn_id before, but for a resend of this very call.
-- ticket: ms to wait in the queue, 0 to not wait.
local turn_id, token, lease = ARGV[7], ARGV[8], tonumber(ARGV[9])
local position, commit_id, worker = tonumber(ARGV[10]), ARGV[11], ARGV[12]
local one_shot, resume, ticket = ARGV[13] == '1', ARGV[14] == '1', tonumber(ARGV[15])

local h, refusal = load()
if refusal then return refusal end
h = h or create()
if is_finished(h, token) then return stale(h) end
if holds(h, turn_id, token) then return granted(h, position, commit_id) end

local t = h.t
local ours = t and t.id == turn_id
local p = not ours and find(h, turn_id, one_shot and RECENT)
local index, entry
if not ours and not one_shot then index, entry = find_queued(h, turn_id) end
if p or index then
  local answer
  if not index then -- one that waits may be one that was dead and is tried again
    answer = duplicate(h, p)
  else
    answer = is_message(entry) and { 'queued', '', turn_id, 0 } or called_off(entry)
  end
  if leave(h, turn_id, token) then close(h) end
  return answer
end
if resume and not ours then return { 'absent' } end

local approved = ours and t.s == 'waiting' and resume and t.k ~= token -- its own begin comes late
if ours and t.s == 'running' and t.y then approved = resume and waits(t) end
local takeover = approved or ours and t.s == 'running' and not t.b and not t.y and remaining(t) <= 0
local place = find_queued(h, turn_id, token)
if takeover then
  if place then unqueue(h, place) end
  open(h, turn_id, token, worker, lease, t.a + 1, t.b, t.r)
  recount(h)
  close(h)
  return granted(h, position, commit_id)
end

local answer = blocked(h)
local first = not answer and head(h)
if first then answer = busy({ w = first.w, id = first.turn_id }, claim_left(h)) end

if place then place = find_queued(h, turn_id, token) end -- it may have been passed over
if first and place and first.k == token then
  unqueue(h, place)
  answer = nil
end

if not answer then
  open(h, turn_id, token, worker, lease, 1, nil, 0, one_shot)
  close(h)
  return granted(h, position, commit_id)
end

if answer[1] == 'busy' and ticket > 0 then
  if not place and h.q >= MAX_QUEUE then
    answer = { 'full', MAX_QUEUE }
  else
    if not place then
      enqueue(h, turn_id, TICKET .. cjson.encode({ k = token, w = worker, d = NOW + ticket, p = ticket }))
    end
    answer[1] = 'queued'
  end
end
close(h)
return answer
