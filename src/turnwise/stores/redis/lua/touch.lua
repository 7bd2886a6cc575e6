#!lua flags=allow-oom
-- touch(ttl in ms, 0 for none) -> ok | absent
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local ttl = tonumber(ARGV[7])
h.x = nil
save(h)
if ttl > 0 then redis.call('PEXPIRE', KEY, ttl) else redis.call('PERSIST', KEY) end
return { 'ok' }
