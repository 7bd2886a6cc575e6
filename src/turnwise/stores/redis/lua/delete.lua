#!lua flags=allow-oom
-- delete() -> ok | absent
local h, refusal = load()
if refusal then return refusal end
if not h then return { 'absent' } end
redis.call('UNLINK', KEY)
return { 'ok' }
