#!lua flags=allow-oom
-- pop(op_id, base) -> done | busy | parked | stopped | stale | absent
local op_id, base = ARGV[8], ARGV[9]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end
local answer = done_before(header, op_id, op_id)
if answer then return answer end
if header.commit_id ~= base then return stale(header) end
answer = blocked(header)
if not answer and header.commit_id ~= base then answer = stale(header) end
if not answer then
  write_turn(header, op_id, op_id, 'pop', '', nil, plan_cut(header, math.max(0, header.items - 1)))
  refresh_expiry(header)
  answer = done(header)
end
save_and_wake(header)
return answer
