#!lua flags=allow-oom
-- renew(turn_id, token) -> renewed, cancel_mode, cancel_reason | stale | gone
local turn_id, token = ARGV[8], ARGV[9]

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'gone' } end
if not holds(header, turn_id, token) then return stale(header) end
local turn = header.turn
turn.deadline = NOW + turn.lease_ms
outlive(header, turn.lease_ms)
save(header)
return { 'renewed', turn.cancel_mode or '', turn.cancel_reason or '' }
