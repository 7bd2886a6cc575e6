#!lua flags=allow-oom
-- commit(turn_id, token, base, commit_id, keep, payload, kind, usage, item...) -> done | stale | gone | full
-- keep: how many items of the history before this turn stay; -1 for all. usage: counts, or ''.
local turn_id, token, base, commit_id = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local keep, payload, kind, usage, ITEMS = tonumber(ARGV[12]), ARGV[13], ARGV[14], ARGV[15], 16

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'gone' } end
if header.commit_id == commit_id then return done(header) end
local held = holds(header, turn_id, token)
if not held or header.commit_id ~= base then
  local before = done_before(header, turn_id, commit_id)
  return before or held and { 'stale', header.incarnation, 'history changed' } or stale(header)
end
local cut = keep >= 0 and plan_cut(header, keep) or nil
if too_large(header, ITEMS, cut) then return { 'full', MAX_BYTES } end
return end_turn(header, commit_id, kind, payload, usage, ITEMS, cut)
