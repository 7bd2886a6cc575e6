#!lua flags=no-writes
-- read(position, commit_id, limit) -> history | absent
-- A limit of 0 or more asks for at most that many elements from the end, up to READ_LIMIT.
local position, commit_id, limit = tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10])

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'absent' } end
local start, elements = history_since(header, position, commit_id)
local follows = start > 0 and 1 or 0
if start < 0 and limit >= 0 then
  start = math.max(0, header.elements - math.min(limit, READ_LIMIT))
  elements = history(header, start, header.elements)
end
return {
  'history', header.incarnation, header.elements, header.commit_id, header.items, start, elements, follows,
  header.owner or '',
}
