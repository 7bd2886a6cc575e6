#!lua flags=no-writes
-- oldest(count) -> ok, {{id, fields}...}
return { 'ok', redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1]) }
