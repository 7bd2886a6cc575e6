#!lua flags=allow-oom
-- abort(turn_id, token) -> ok
-- A token that holds nothing is finished all the same: its begin may still be on the way.
local turn_id, token = ARGV[8], ARGV[9]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'ok' } end
if holds(header, turn_id, token) then
  count_end(header, 'failed')
  close_turn(header)
  offer_to_head(header)
else
  leave_queue(header, turn_id, token)
  finish_token(header, token)
end
return save_or_delete(header)
