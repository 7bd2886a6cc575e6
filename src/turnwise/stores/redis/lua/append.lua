#!lua
-- append(op_id, item...) -> done | busy | parked | stopped | full | taken
local op_id, ITEMS = ARGV[8], 9

local header, refusal = load_or_create()
if refusal then return refusal end
local answer = done_before(header, op_id, op_id)
if answer then return answer end
if too_large(header, ITEMS) then return { 'full', MAX_BYTES } end
answer = blocked(header)
if not answer then
  write_turn(header, op_id, op_id, 'append', '', ITEMS)
  refresh_expiry(header)
  answer = done(header)
end
save_and_wake(header)
return answer
