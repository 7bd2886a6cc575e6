#!lua flags=allow-oom
-- commit(turn_id, token, base, commit_id, keep, payload, kind, item...) -> ok | stale | gone | full
-- keep: how many items of the history before this turn stay; -1 for all.
local turn_id, token, base, commit_id = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local keep, payload, kind = tonumber(ARGV[11]), ARGV[12], ARGV[13]

local h, refusal = load()
if refusal then return refusal end
if not h then return { 'gone' } end
if h.c == commit_id then return done(h) end
local held = holds(h, turn_id, token)
if not held or h.c ~= base then
  local before = repeated(h, turn_id, commit_id)
  return before or held and { 'stale', h.i, 'moved' } or stale(h)
end
local plan = keep >= 0 and cutting(h, keep) or nil
if too_large(h, 14, plan) then return { 'full', MAX_BYTES } end
return ending(h, commit_id, kind, payload, 14, plan)
