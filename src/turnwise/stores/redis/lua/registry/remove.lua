#!lua flags=allow-oom
-- remove(name) -> ok
redis.call('HDEL', KEYS[1], ARGV[1])
return { 'ok' }
