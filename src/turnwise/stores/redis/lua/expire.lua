#!lua flags=allow-oom
-- expire(ttl in ms, -1 for none) -> ok | absent
local ttl = tonumber(ARGV[7])
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
if h.x then
  h.x = nil
  save(h)
end
if ttl >= 0 then redis.call('PEXPIRE', KEY, ttl) else redis.call('PERSIST', KEY) end
return { 'ok' }
