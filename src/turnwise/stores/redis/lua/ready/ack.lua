#!lua flags=allow-oom
-- ack(group, id...) -> ok
-- XDEL first: an entry that is acknowledged and not deleted would stay for ever.
local KEY, GROUP = KEYS[1], ARGV[1]
for i = 2, #ARGV do
  redis.call('XDEL', KEY, ARGV[i])
  redis.call('XACK', KEY, GROUP, ARGV[i])
end
return { 'ok' }
