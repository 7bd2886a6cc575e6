#!lua flags=allow-oom
-- delete(incarnation) -> ok | absent
-- Only the session that was meant: one that was made anew meanwhile stays.
local h, refusal = load()
if refusal then return refusal end
if not h or h.i ~= ARGV[7] then return { 'absent' } end
if h.t then told[1] = { k = h.t.k, w = h.t.w } end
tell_line(h)
redis.call('UNLINK', KEY)
tell()
return { 'ok' }
