#!lua
-- sweep_due(primaries, force, ttl_ms) -> due | recent
-- Whether to sweep now: forced, or the last sweep's ttl is over, or a failover changed the primaries.
local KEY, PRIMARIES, force, TTL_MS = KEYS[1], ARGV[1], ARGV[2] == '1', ARGV[3]
if not force and redis.call('GET', KEY) == PRIMARIES then return { 'recent' } end
redis.call('SET', KEY, PRIMARIES, 'PX', TTL_MS)
return { 'due' }
