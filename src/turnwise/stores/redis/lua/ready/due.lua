#!lua
-- due(servers, force, time) -> due | recent
-- Whether to look for messages now: nobody did for as many ms as they said, or the servers changed.
if ARGV[2] == '0' and redis.call('GET', KEYS[1]) == ARGV[1] then return { 'recent' } end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return { 'due' }
