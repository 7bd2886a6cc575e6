#!lua
-- rights(commands) -> {name, refusal}...   commands: JSON list of lists, a command's name first
-- Tries commands on a key of its own, which holds a string while they run: most of them answer that
-- it has the wrong type, and write nothing. The key is gone at the end; all of it is one step.
local KEY, COMMANDS = KEYS[1], cjson.decode(ARGV[1])

local answers = {}

-- Whether the user may run it.
local function try(name, ...)
  local reply = redis.pcall(name, ...)
  local refusal = type(reply) == 'table' and reply.err or ''
  answers[#answers + 1] = { name, refusal }
  return refusal == ''
end

-- Without these nothing else is tried, since some commands would make the key, and leave it.
if not (try('del', KEY) and try('set', KEY, 'doctor', 'PX', 1000)) then return answers end
for _, command in ipairs(COMMANDS) do try(unpack(command)) end
redis.call('del', KEY)
return answers
