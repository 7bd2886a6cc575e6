#!lua
-- journal(turn_id, token, index, entry...) -> done | stale | gone
local turn_id, token, index, ENTRIES = ARGV[8], ARGV[9], tonumber(ARGV[10]), 11

local header, refusal = load()
if refusal then return refusal end
if not header then return { 'gone' } end
if not holds(header, turn_id, token) then return stale(header) end
local length = journal_length(header)
if index == length then
  push(ARGV, ENTRIES)
  if index == 0 and has_provisional_expiry(header) then
    outlive(header, header.turn.lease_ms)
    save(header)
  end
  return done(header)
end
if index + #ARGV - ENTRIES + 1 > length then return stale(header) end
for i = ENTRIES, #ARGV do
  if journal_entry(header, index + i - ENTRIES) ~= ARGV[i] then return stale(header) end
end
return done(header)
