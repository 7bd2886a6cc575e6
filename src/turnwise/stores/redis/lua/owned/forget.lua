#!lua flags=allow-oom
-- forget({session id, note}...) -> ok
-- A note that was written again since it was read stays.
for index = 1, #ARGV, 2 do
  local session_id, note = ARGV[index], ARGV[index + 1]
  if redis.call('HGET', KEYS[1], session_id) == note then redis.call('HDEL', KEYS[1], session_id) end
end
return { 'ok' }
