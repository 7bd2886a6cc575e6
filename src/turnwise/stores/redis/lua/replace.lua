#!lua
-- replace(op_id, base, keep, item...) -> done | busy | parked | stopped | stale | full | absent
local op_id, base, keep, ITEMS = ARGV[8], ARGV[9], tonumber(ARGV[10]), 11

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end
local answer = done_before(header, op_id, op_id)
if answer then return answer end
if header.commit_id ~= base then return stale(header) end
answer = blocked(header)
if not answer and header.commit_id ~= base then answer = stale(header) end
if not answer then
  local cut = plan_cut(header, keep)
  if too_large(header, ITEMS, cut) then
    answer = { 'full', MAX_BYTES }
  else
    write_turn(header, op_id, op_id, 'replace', '', ITEMS, cut)
    refresh_expiry(header)
    answer = done(header)
  end
end
save_and_wake(header)
return answer
