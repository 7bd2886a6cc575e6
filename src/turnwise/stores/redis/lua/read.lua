#!lua flags=no-writes
-- read(position, commit_id, limit) -> history | absent
-- A limit of 0 or more asks for no more than that many elements at the end, up to 256.
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
local position, commit_id, limit = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local start, elements = since(h, position, commit_id)
local follows = start > 0 and 1 or 0
if start < 0 and limit >= 0 then
  start = math.max(0, h.e - math.min(limit, READ))
  elements = history(h, start, h.e)
end
return { 'history', h.i, h.e, h.c, h.n, start, elements, follows }
