#!lua
-- replace(op_id, base, keep, item...) -> ok | busy | waiting | stale | full | absent
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local answer = repeated(h, ARGV[7], ARGV[7])
if answer then return answer end
if h.c ~= ARGV[8] then return stale(h) end
answer = blocked(h)
if not answer and h.c ~= ARGV[8] then answer = stale(h) end
if not answer then
  write(h, ARGV[7], ARGV[7], 'replace', '', 10, tonumber(ARGV[9]))
  expire(h)
  answer = done(h)
end
close(h)
return answer
