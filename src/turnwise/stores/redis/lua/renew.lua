#!lua flags=allow-oom
-- renew(turn_id, token) -> ok, cancelled, note | stale | gone
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'gone' } end
if not holds(h, ARGV[7], ARGV[8]) then return stale(h) end
h.t.d = NOW + h.t.p
outlive(h, h.t.p)
save(h)
return { 'ok', h.t.x or 0, h.t.n or '' }
