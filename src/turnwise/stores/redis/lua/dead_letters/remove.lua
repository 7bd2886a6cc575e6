#!lua flags=allow-oom
-- remove(id) -> ok
redis.call('XDEL', KEYS[1], ARGV[1])
return { 'ok' }
