-- What all verbs share: the session at KEYS[1], and the ways to read and change it. It is one list:
--   0: header | the queue, newest first, two elements per entry | history | the open turn's journal
-- Check everything, then write: a Lua error does not undo what the script wrote before it.
-- ARGV[1] to ARGV[7] are the same for every verb; a verb's own arguments start at ARGV[8].
local KEY = KEYS[1]
local WAKE_CHANNEL, NEW_ID = ARGV[1], ARGV[2]
local TTL_MS, RETENTION_MS = tonumber(ARGV[3]), tonumber(ARGV[4])
local MAX_BYTES, MAX_QUEUE = tonumber(ARGV[5]), tonumber(ARGV[6])
local OWNER = ARGV[7] -- for whom this is done: '' for anybody, who may use all sessions
local PREFIX = string.match(WAKE_CHANNEL, '^{(.*)wake}:$')
local READY_CHANNEL = string.gsub(WAKE_CHANNEL, 'wake}:$', 'ready}')
local EXPIRY_SLACK_MS = 1000

local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- is_new: the session is not stored yet. changed: the header must be saved.
local is_new, changed = false, false
-- is_taken: there is a session, and it is not OWNER's.
local is_taken = false
-- tickets_to_wake: woken in any case. next_up: true, or the queue's head that is to be woken.
-- worker_continues: a worker of messages has the session and will ask for the next one by itself.
local tickets_to_wake, next_up, worker_continues = {}, nil, false

local function load()
  local raw = redis.call('LINDEX', KEY, 0)
  if not raw then return nil end
  local ok, header = pcall(cjson.decode, raw)
  if not ok or type(header) ~= 'table' or type(header.format) ~= 'number' then return nil, { 'foreign' } end
  if header.format > FORMAT then return nil, { 'newer', header.format } end
  if type(header.incarnation) ~= 'string' or type(header.queued) ~= 'number' then return nil, { 'foreign' } end
  -- A longer prefix that begins with ours has sessions of its own.
  if header.prefix and header.prefix ~= PREFIX then return nil, { 'elsewhere', header.prefix } end
  -- A caller with an owner has that owner's sessions, and there are no others.
  if OWNER ~= '' and header.owner ~= OWNER then
    is_taken = true
    return nil
  end
  -- Another process may have other settings: the longest retention counts, and a ttl counts for all.
  RETENTION_MS = math.max(RETENTION_MS, header.retention_ms or 0)
  if TTL_MS == 0 then TTL_MS = header.ttl_ms or 0 end
  return header
end

-- For a verb that creates the session if there is none. turnwise/stores/header.py describes each field.
local function load_or_create()
  local header, refusal = load()
  if header or refusal then return header, refusal end
  if is_taken then return nil, { 'taken' } end
  is_new = true
  return {
    format = FORMAT, incarnation = NEW_ID, prefix = PREFIX, owner = OWNER ~= '' and OWNER or nil,
    retention_ms = RETENTION_MS, ttl_ms = TTL_MS > 0 and TTL_MS or nil,
    queued = 0, queue_changes = 0,
    elements = 0, items = 0, bytes = 0,
    commits = 0, commit_id = NEW_ID,
    created = NOW, updated = NOW,
    finished_tokens = '',
    search_start = 0, next_search_start = 0, search_rolled = NOW,
  }
end

local function save(header)
  if is_new then
    redis.call('RPUSH', KEY, cjson.encode(header))
  else
    redis.call('LSET', KEY, 0, cjson.encode(header))
  end
  is_new, changed = false, false
end

-- Whether the expiry is still the one that a session without a commit is given. MIGRATE carries an
-- expiry over as the time left, so it moves a little; taking ours for a user's would lose data.
local function has_provisional_expiry(header)
  local ours = header.provisional_expiry
  return ours and math.abs(redis.call('PEXPIRETIME', KEY) - ours) <= EXPIRY_SLACK_MS
end

-- Keeps the session from expiring during a lease that begins now.
local function outlive(header, lease_ms)
  if is_new or has_provisional_expiry(header) then
    -- The journal of a dead turn is kept until the turn is sent again.
    local has_journal = redis.call('LLEN', KEY) > 1 + 2 * header.queued + header.elements
    local kept_ms = has_journal and (TTL_MS > 0 and TTL_MS or RETENTION_MS) or 0
    header.provisional_expiry, changed = NOW + math.max(2 * lease_ms, kept_ms), true
    if is_new then save(header) end
    redis.call('PEXPIREAT', KEY, header.provisional_expiry)
    return
  end
  header.provisional_expiry = nil
  if TTL_MS == 0 then return end
  local left_ms = redis.call('PTTL', KEY)
  if left_ms >= 0 and left_ms < 2 * lease_ms then
    redis.call('PEXPIRE', KEY, math.max(TTL_MS, 2 * lease_ms))
  end
end

-- The session has something to keep: its provisional expiry goes, its ttl starts again.
local function refresh_expiry(header)
  if has_provisional_expiry(header) then redis.call('PERSIST', KEY) end
  if header.provisional_expiry then header.provisional_expiry, changed = nil, true end
  if TTL_MS == 0 then return end
  if header.ttl_ms ~= TTL_MS then header.ttl_ms, changed = TTL_MS, true end
  redis.call('PEXPIRE', KEY, TTL_MS)
end
