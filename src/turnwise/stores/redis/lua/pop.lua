#!lua flags=allow-oom
-- pop(op_id, base) -> ok | busy | waiting | stale | absent
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local answer = repeated(h, ARGV[7], ARGV[7])
if answer then return answer end
if h.c ~= ARGV[8] then return stale(h) end
answer = blocked(h)
if not answer and h.c ~= ARGV[8] then answer = stale(h) end
if not answer then
  write(h, ARGV[7], ARGV[7], 'pop', '', #ARGV + 1, math.max(0, h.n - 1))
  expire(h)
  answer = done(h)
end
close(h)
return answer
