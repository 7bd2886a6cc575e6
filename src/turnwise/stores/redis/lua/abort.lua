#!lua flags=allow-oom
-- abort(turn_id, token) -> ok
-- Gives up whatever the token holds: the open turn with its journal, or a place in the queue.
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'ok' } end
if holds(h, ARGV[7], ARGV[8]) then
  drop_turn(h)
  hand_over(h)
else
  local place = find_queued(h, ARGV[7], ARGV[8])
  if not place then return { 'ok' } end
  local was_head = place == 2 * h.q - 1
  unqueue(h, place)
  finish(h, ARGV[8])
  if was_head and not h.t then hand_over(h) end
end
if h.s == 0 and h.q == 0 and not h.t then
  redis.call('DEL', KEY)
else
  close(h)
end
return { 'ok' }
