"""What runs inside Redis: each script is atomic, and all keys of it have one hash tag.

A conversation is two keys: a hash, the head, and a list of records, the turns. The head's fields:

    format      of head and records; see `FORMAT`
    voice       name of the voice
    codec       digest of the codec that the frames are of
    fence       of the writer that opened it last: greater than every one before, deletions included
    nonce       of that writer's attempt to open it: asking again for a lost answer is no second one
    opened_ms   when that was, by Redis's clock
    lease_ms    until when the writer has it, by Redis's clock; 0: nobody has
    revision    of the last write: the fence of its writer, a dot, and a number
    deleted     1: a grave, so that a writer that was paused does not bring it back

Under `maxmemory` a script is refused at its first write, or not at all. So `WRITE` begins with one
that needs memory, and nothing is changed when it is refused; the others begin with one that needs
none, and work in a store that is full; `OPEN` does where there are turns.
"""

from hashlib import sha1

FORMAT = 1


class Script:
    """Source and the digest by which Redis knows it."""

    def __init__(self, source: str) -> None:
        self.source = _COMMON + source
        self.digest = sha1(self.source.encode(), usedforsecurity=False).hexdigest()


_COMMON = """
local head, turns = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function number(value) return tonumber(value or 0) or 0 end
"""

OPEN = Script(
    """
-- nonce, lease_ms, ttl_ms, format, voice, codec, once -> status, fence, revision, voice, records
-- `once` is 'again' where the caller had it before: what was deleted since is not begun anew.
local kind, list = redis.call('TYPE', head).ok, redis.call('TYPE', turns).ok
if (kind ~= 'hash' and kind ~= 'none') or (list ~= 'list' and list ~= 'none') then
  return {'foreign', kind .. ' and ' .. list}
end
local h = redis.call('HMGET', head, 'format', 'voice', 'codec', 'fence', 'nonce', 'opened_ms',
  'lease_ms', 'revision', 'deleted')
if kind == 'hash' and h[1] ~= ARGV[4] then
  return {'foreign', 'format ' .. string.sub(tostring(h[1] or 'none'), 1, 20)}
end
local count = redis.call('LLEN', turns)
if h[5] == ARGV[1] then return {'ok', h[4], h[8], h[2], count} end
if number(h[7]) > now then return {'held', now - number(h[6]), number(h[7]) - now} end
if count > 0 and h[3] and h[3] ~= ARGV[6] then return {'codec', h[3]} end
if h[9] and ARGV[7] == 'again' then return {'deleted'} end
local micros = time[1] * 1000000 + time[2]
local fence = string.format('%.0f', math.max(number(h[4]) + 1, micros))
local voice, revision = h[2] or ARGV[5], h[8] or ''
if count > 0 then redis.call('PEXPIRE', turns, ARGV[3]) end
redis.call('HSET', head, 'format', ARGV[4], 'voice', voice, 'codec', ARGV[6], 'fence', fence,
  'nonce', ARGV[1], 'opened_ms', now, 'lease_ms', now + ARGV[2], 'revision', revision)
redis.call('HDEL', head, 'deleted')
redis.call('PEXPIRE', head, ARGV[3])
return {'ok', fence, revision, voice, count}
"""
)

WRITE = Script(
    """
-- fence, lease_ms, ttl_ms, voice, revision, whole, num_records, drop, keep, next, records...
-- -> status, revision, which becomes `next`. The list is cut to `keep` records behind the first
-- `drop`, then the rest is appended; `whole`: whatever is there is replaced.
local h = redis.call('HMGET', head, 'fence', 'revision', 'deleted')
if not h[1] then return {'gone'} end
if h[3] then return {'deleted'} end
if h[1] ~= ARGV[1] then return {'fenced'} end
local count = redis.call('LLEN', turns)
if ARGV[6] == '0' and (h[2] ~= ARGV[5] or count ~= number(ARGV[7])) then
  return {'differs', h[2]}
end
redis.call('HSET', head, 'revision', ARGV[10], 'lease_ms', now + ARGV[2], 'voice', ARGV[4])
local drop, keep = number(ARGV[8]), number(ARGV[9])
if keep == 0 or ARGV[6] == '1' then
  redis.call('DEL', turns)
elseif drop > 0 or drop + keep < count then
  redis.call('LTRIM', turns, drop, drop + keep - 1)
end
for i = 11, #ARGV do redis.call('RPUSH', turns, ARGV[i]) end
redis.call('PEXPIRE', head, ARGV[3])
redis.call('PEXPIRE', turns, ARGV[3])
return {'ok'}
"""
)

RENEW = Script(
    """
-- fence, lease_ms, ttl_ms -> status
local h = redis.call('HMGET', head, 'fence', 'deleted')
if not h[1] then return {'gone'} end
if h[2] then return {'deleted'} end
if h[1] ~= ARGV[1] then return {'fenced'} end
redis.call('PEXPIRE', head, ARGV[3])
redis.call('PEXPIRE', turns, ARGV[3])
redis.call('HSET', head, 'lease_ms', now + ARGV[2])
return {'ok'}
"""
)

CLOSE = Script(
    """
-- fence or nonce, ttl_ms -> status. Nothing stays of a conversation without turns, but its grave.
local h = redis.call('HMGET', head, 'fence', 'nonce', 'deleted')
if h[3] or (h[1] ~= ARGV[1] and h[2] ~= ARGV[1]) then return {'fenced'} end
if redis.call('LLEN', turns) == 0 then
  redis.call('DEL', head)
else
  redis.call('PEXPIRE', head, ARGV[2])
  redis.call('PEXPIRE', turns, ARGV[2])
  redis.call('HSET', head, 'lease_ms', 0)
end
return {'ok'}
"""
)

DELETE = Script(
    """
-- ttl_ms, format -> status. What is of another format goes too. Turns whose head was lost leave a
-- grave like any others.
local kind = redis.call('TYPE', head).ok
if kind ~= 'none' and (kind ~= 'hash' or redis.call('HGET', head, 'format') ~= ARGV[2]) then
  redis.call('DEL', head, turns)
  return {'ok'}
end
local h = redis.call('HMGET', head, 'fence', 'opened_ms', 'lease_ms', 'deleted')
if number(h[3]) > now then return {'held', now - number(h[2]), number(h[3]) - now} end
local count = redis.call('EXISTS', turns)
redis.call('DEL', turns)
if h[4] or (kind == 'none' and count == 0) then return {'missing'} end
redis.call('HDEL', head, 'voice', 'codec', 'nonce', 'opened_ms', 'lease_ms')
redis.call('HSET', head, 'format', ARGV[2], 'deleted', 1)
redis.call('PEXPIRE', head, ARGV[1])
return {'ok'}
"""
)
