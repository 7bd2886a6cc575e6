#!lua flags=allow-oom
-- remove(id) -> ok, number
return { 'ok', redis.call('XDEL', KEYS[1], ARGV[1]) }
