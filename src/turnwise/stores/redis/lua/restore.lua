#!lua
-- restore(position, commit_id, created, usage, bytes, items, commits, element...)
--   -> done | busy | parked | stopped | stale | full | taken
-- Appends whole turns as another history has them, behind this base. created: of a new session; 0 for now.
-- bytes, items, commits: what the elements add. There may be 100,000 of them, so no script looks at each.
local position, commit_id, created, usage = tonumber(ARGV[8]), ARGV[9], tonumber(ARGV[10]), ARGV[11]
local bytes, items, commits, ELEMENTS = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14]), 15

local header, refusal = load_or_create()
if refusal then return refusal end
local last_commit_id = parse_record(ARGV[#ARGV])
local length = position + #ARGV - ELEMENTS + 1
if not is_new and length <= header.elements then
  local before = parse_record(redis.call('LINDEX', KEY, index_of(header, length - 1)))
  if before == last_commit_id then return { 'done', length, last_commit_id } end
end

local function follows()
  if position == 0 then return header.commits == 0 end
  return header.elements == position and header.commit_id == commit_id
end

if not follows() then return stale(header) end
if header.bytes + bytes > MAX_BYTES then return { 'full', MAX_BYTES } end
local answer = blocked(header)
if not answer and not follows() then answer = stale(header) end
if not answer then
  if is_new then save(header) end
  roll_search_start(header)
  push(ARGV, ELEMENTS)
  header.elements, header.commit_id, header.updated = header.elements + #ARGV - ELEMENTS + 1, last_commit_id, NOW
  header.bytes, header.items, header.commits = header.bytes + bytes, header.items + items, header.commits + commits
  changed = true
  if position == 0 and created > 0 then header.created = created end
  add_usage(header, usage)
  refresh_expiry(header)
  answer = done(header)
end
save_and_wake(header)
return answer
