#!lua
-- append(op_id, item...) -> ok | busy | waiting | full
local op_id = ARGV[7]
local h, refusal = load()
if refusal then return refusal end
h = h or create()
local answer = repeated(h, op_id, op_id)
if answer then return answer end
if too_large(h, 8) then return { 'full', MAX_BYTES } end
answer = blocked(h)
if not answer then
  write(h, op_id, op_id, 'append', '', 8)
  refresh_expiry(h)
  answer = done(h)
end
close(h)
return answer
