#!lua flags=allow-oom
-- remove(worker) -> ok
redis.call('HDEL', KEYS[1], ARGV[1])
return { 'ok' }
