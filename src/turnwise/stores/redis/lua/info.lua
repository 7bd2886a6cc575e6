#!lua flags=no-writes
-- info() -> info, header, now, ttl_ms (-1 for none), journal length | absent
local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end
return { 'info', redis.call('LINDEX', KEY, 0), NOW, redis.call('PTTL', KEY), journal_length(header) }
