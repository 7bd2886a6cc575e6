#!lua flags=allow-oom
-- clear(op_id) -> ok | busy | waiting | absent
local op_id = ARGV[7]
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local answer = repeated(h, op_id, op_id)
if answer then return answer end
answer = blocked(h)
if not answer then
  write(h, op_id, op_id, 'clear', '', nil, cutting(h, 0))
  refresh_expiry(h)
  answer = done(h)
end
close(h)
return answer
