#!lua flags=no-writes
-- count() -> ok, count
return { 'ok', redis.call('XLEN', KEYS[1]) }
