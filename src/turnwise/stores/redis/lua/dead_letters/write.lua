#!lua flags=allow-oom
-- write(session_id, turn_id, token, letter) -> ok, id
-- A resend answers the id of the first call. It follows soon, so few newer letters are behind that.
local session_id, turn_id, token, letter = unpack(ARGV)
local LOOK_BACK = 10

for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', LOOK_BACK)) do
  local _, known_session, _, known_turn, _, known_token = unpack(entry[2])
  if known_session == session_id and known_turn == turn_id and known_token == token then
    return { 'ok', entry[1] }
  end
end
local clock = redis.call('TIME')
local now = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
return {
  'ok',
  redis.call(
    'XADD', KEYS[1], '*', 'session_id', session_id, 'turn_id', turn_id, 'token', token,
    'at_ms', now, 'letter', letter
  ),
}
