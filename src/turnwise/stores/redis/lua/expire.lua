#!lua flags=allow-oom
-- expire(ttl_ms, -1 for never) -> ok | absent
local ttl_ms = tonumber(ARGV[8])

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end
if header.provisional_expiry or header.ttl_ms then
  header.provisional_expiry, header.ttl_ms = nil, nil
  save(header)
end
if ttl_ms >= 0 then redis.call('PEXPIRE', KEY, ttl_ms) else redis.call('PERSIST', KEY) end
return { 'ok' }
