#!lua
-- journal(turn_id, token, index, entry...) -> ok | stale | gone
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'gone' } end
local index, count = tonumber(ARGV[9]), #ARGV - 9
if not holds(h, ARGV[7], ARGV[8]) then return stale(h) end
local length = journal_length(h)
if index == length then
  push(ARGV, 10)
  if index == 0 and is_provisional(h) then
    outlive(h, h.t.p)
    save(h)
  end
  return done(h)
end
if index + count > length then return stale(h) end
for i = 1, count do
  if redis.call('LINDEX', KEY, at(h, h.e) + index + i - 1) ~= ARGV[9 + i] then return stale(h) end
end
return done(h)
