#!lua flags=no-writes
-- info() -> info, header, time, ttl, journal length | absent
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
return { 'info', redis.call('LINDEX', KEY, 0), NOW, redis.call('PTTL', KEY), journal_length(h) }
