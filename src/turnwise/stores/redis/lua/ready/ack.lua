#!lua flags=allow-oom
-- ack(group, id...) -> ok
-- XDEL first: an entry that is acknowledged and not deleted would stay for ever.
for i = 2, #ARGV do
  redis.call('XDEL', KEYS[1], ARGV[i])
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
end
return { 'ok' }
