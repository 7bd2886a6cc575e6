#!lua flags=allow-oom
-- clear(op_id) -> done | busy | parked | stopped | absent
local op_id = ARGV[8]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end
local answer = done_before(header, op_id, op_id)
if answer then return answer end
answer = blocked(header)
if not answer then
  write_turn(header, op_id, op_id, 'clear', '', nil, plan_cut(header, 0))
  refresh_expiry(header)
  answer = done(header)
end
save_and_wake(header)
return answer
