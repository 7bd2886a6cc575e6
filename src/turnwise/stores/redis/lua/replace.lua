#!lua
-- replace(op_id, base, keep, item...) -> ok | busy | waiting | stale | full | absent
local op_id, base, keep = ARGV[7], ARGV[8], tonumber(ARGV[9])
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local answer = repeated(h, op_id, op_id)
if answer then return answer end
if h.c ~= base then return stale(h) end
answer = blocked(h)
if not answer and h.c ~= base then answer = stale(h) end
if not answer then
  local plan = cutting(h, keep)
  if too_large(h, 10, plan) then
    answer = { 'full', MAX_BYTES }
  else
    write(h, op_id, op_id, 'replace', '', 10, plan)
    refresh_expiry(h)
    answer = done(h)
  end
end
close(h)
return answer
