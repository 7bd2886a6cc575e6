#!lua flags=allow-oom
-- commit(turn_id, token, base, commit_id, keep, payload, item...) -> ok | stale | gone | full
-- keep: how many items of the history before this turn stay; -1 for all.
local turn_id, token, base, commit_id = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local keep = tonumber(ARGV[11])

local h, refusal = load()
if refusal then return refusal end
if not h then return { 'gone' } end
if h.c == commit_id then return done(h) end
if not holds(h, turn_id, token) then return repeated(h, turn_id, commit_id) or stale(h) end
if h.c ~= base then return { 'stale', h.i, 'moved' } end
if too_large(h, 13) and keep < 0 then return { 'full', MAX_BYTES } end

local background = h.t.b
drop_turn(h)
write(h, turn_id, commit_id, 'turn', ARGV[12], 13, keep >= 0 and keep or nil)
if background then unqueue(h, find_queued(h, turn_id)) end
hand_over(h)
expire(h)
close(h)
return done(h)
