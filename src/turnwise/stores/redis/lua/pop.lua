#!lua flags=allow-oom
-- pop(op_id, base) -> ok | busy | waiting | stale | absent
local op_id, base = ARGV[7], ARGV[8]
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local answer = repeated(h, op_id, op_id)
if answer then return answer end
if h.c ~= base then return stale(h) end
answer = blocked(h)
if not answer and h.c ~= base then answer = stale(h) end
if not answer then
  write(h, op_id, op_id, 'pop', '', nil, cutting(h, math.max(0, h.n - 1)))
  refresh_expiry(h)
  answer = done(h)
end
close(h)
return answer
