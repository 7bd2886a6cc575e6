#!lua flags=allow-oom
-- delete(incarnation) -> ok | absent
-- Only the session that was meant: one that was made anew meanwhile stays.
local h, refusal = load()
if refusal then return refusal end
if not h or h.i ~= ARGV[7] then return { 'absent' } end
redis.call('UNLINK', KEY)
if h.t then redis.pcall('PUBLISH', CHANNEL .. h.t.w, h.t.k) end
return { 'ok' }
