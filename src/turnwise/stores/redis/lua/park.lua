#!lua flags=allow-oom
-- park(turn_id, token, state) -> ok | stale | gone
-- The turn stays open without a lease; its state is the last element of its journal.
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'gone' } end
local t = h.t
if t and t.s == 'waiting' and t.k == ARGV[8] and t.id == ARGV[7] then return done(h) end
if not holds(h, ARGV[7], ARGV[8]) then return stale(h) end
redis.call('RPUSH', KEY, ARGV[9])
t.s = 'waiting'
if h.x and redis.call('PEXPIRETIME', KEY) == h.x then redis.call('PERSIST', KEY) end
h.x = nil
save(h)
return done(h)
