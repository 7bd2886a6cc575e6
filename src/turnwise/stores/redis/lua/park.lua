#!lua flags=allow-oom
-- park(turn_id, token, state) -> ok | stale | gone
-- The turn stays open without a lease; its state is the last element of its journal. Who comes again
-- finds it there, also if the turn was taken up since.
local turn_id, token, state = ARGV[7], ARGV[8], ARGV[9]
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'gone' } end
local t = h.t
if not holds(h, turn_id, token) then
  local parked = t and t.id == turn_id and t.y and redis.call('LINDEX', KEY, at(h, h.e) + t.y - 1)
  return parked == state and done(h) or stale(h)
end
redis.call('RPUSH', KEY, state)
t.s, t.y = 'waiting', journal_length(h)
if t.x == 2 then t.x = nil end
excuse(h)
refresh_expiry(h)
tell_line(h)
close(h)
return done(h)
