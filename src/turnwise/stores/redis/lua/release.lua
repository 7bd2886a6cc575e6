#!lua flags=allow-oom
-- release(turn_id, token, counted) -> ok
-- The turn stays open with its journal, and its lease has run out.
local turn_id, token, counted = ARGV[7], ARGV[8], ARGV[9] == '1'
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'ok' } end
if holds(h, turn_id, token) then
  local t = h.t
  t.k, t.d, changed = MINT, NOW, true
  if not counted then
    t.r = (t.r or 0) + 1
    if t.b then
      local index, entry = find_queued(h, turn_id)
      local attempts, content = parse_message(entry)
      redis.call('LSET', KEY, index + 1, message(attempts, content, t.r))
    end
  end
else
  leave(h, turn_id, token)
end
finish(h, token)
return leave_all(h)
