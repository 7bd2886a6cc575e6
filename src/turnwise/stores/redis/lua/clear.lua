#!lua flags=allow-oom
-- clear(op_id) -> ok | busy | waiting | absent
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local answer = repeated(h, ARGV[7], ARGV[7]) or blocked(h)
if not answer then
  write(h, ARGV[7], ARGV[7], 'clear', '', #ARGV + 1, 0)
  expire(h)
  answer = done(h)
end
close(h)
return answer
