-- What the verbs share: the session at KEYS[1], and the ways to read and change it. One list:
--   0: header | the queue, newest first, two elements an entry | history | the open turn's journal
-- Check everything, then write: a Lua error does not undo what the script wrote before it.
local KEY = KEYS[1]
local CHANNEL, MINT = ARGV[1], ARGV[2]
local TTL, RETENTION = tonumber(ARGV[3]), tonumber(ARGV[4])
local MAX_BYTES, MAX_QUEUE = tonumber(ARGV[5]), tonumber(ARGV[6])

local RECORD, MARKER, TICKET, MESSAGE, CALLED_OFF, TOMBSTONE = '\1', '\2', '\3', '\4', '\5', '\0'
local FIRST_ITEM_BYTE, VERSION, READ, PUSH, TOKENS, CLAIM = 16, 1, 256, 4000, 8, 250
local RECENT, SLACK = 64, 1000

local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)
local unsaved, changed, wake, told = false, false, nil, {}
-- Workers of messages listen here. goes_on: one of them is at the session, and goes on by itself.
local READY, goes_on = string.gsub(CHANNEL, 'wake}:$', 'ready}'), false

local function create()
  unsaved = true
  return {
    v = VERSION, i = MINT,      -- format version, incarnation
    q = 0, g = 0,               -- queue entries; how often the queue changed
    e = 0, n = 0, z = 0,        -- history elements, items among them, their bytes
    s = 0, c = MINT,            -- number and id of the last commit
    a = NOW, u = NOW,           -- created, updated
    f = '',                     -- the last finished tokens
    m = 0, l = 0, y = NOW,      -- day marks: a turn_id is searched from m on; l was the end at y
    -- t: the open turn {id, k token, w worker, a attempt, d deadline, p lease, s state,
    --    b from the queue, x asked to stop (1 drop, 2 keep), n note of who asked first, r attempts that ended in good order,
    --    y length of its journal up to its last state, once it was parked,
    --    l ms after its deadline before which no other attempt begins, f nobody can send it again}
    -- x: the expiry we set on a session without a commit; h: when the queue's head loses its place
  }
end

local function load()
  local raw = redis.call('LINDEX', KEY, 0)
  if not raw then return nil end
  local ok, h = pcall(cjson.decode, raw)
  if not ok or type(h) ~= 'table' or type(h.v) ~= 'number' then return nil, { 'foreign' } end
  if h.v > VERSION then return nil, { 'newer', h.v } end
  if type(h.i) ~= 'string' or type(h.q) ~= 'number' then return nil, { 'foreign' } end
  return h
end

local function save(h)
  if unsaved then
    redis.call('RPUSH', KEY, cjson.encode(h))
  else
    redis.call('LSET', KEY, 0, cjson.encode(h))
  end
  unsaved, changed = false, false
end

-- Whether the expiry is still the one that we gave a session without a commit. MIGRATE carries an
-- expiry over as the time that is left, so it moves a little; taking ours for a user's loses data.
local function is_provisional(h)
  return h.x and math.abs(redis.call('PEXPIRETIME', KEY) - h.x) <= SLACK
end

-- The expiry must not fall into a lease that begins now.
local function outlive(h, lease)
  if unsaved or is_provisional(h) then
    -- What a dead turn had finished waits for its retry.
    local half_done = redis.call('LLEN', KEY) > 1 + 2 * h.q + h.e
    local wait = half_done and (TTL > 0 and TTL or RETENTION) or 0
    h.x, changed = NOW + math.max(2 * lease, wait), true
    if unsaved then save(h) end
    redis.call('PEXPIREAT', KEY, h.x)
    return
  end
  h.x = nil
  if TTL == 0 then return end
  local left = redis.call('PTTL', KEY)
  if left >= 0 and left < 2 * lease then redis.call('PEXPIRE', KEY, math.max(TTL, 2 * lease)) end
end

-- The session has something to keep.
local function refresh_expiry(h)
  if is_provisional(h) then redis.call('PERSIST', KEY) end
  if h.x then h.x, changed = nil, true end
  if TTL > 0 then redis.call('PEXPIRE', KEY, TTL) end
end
