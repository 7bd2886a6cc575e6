#!lua flags=no-writes
-- page(start, count) -> ok, {{id, fields}...}
return { 'ok', redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2]) }
