"""How much each owner has in the store, counted as calls end: nobody looks through all keys.

Two keys of one hash tag for each owner, `csm:FORMAT:{OWNER/}:` before both:

    kept     a sorted set: each conversation's id to the time when it expires, by Redis's clock
    bytes    a hash: each id to its bytes, and the field `/`, which no quoted id is, to their sum

A conversation that is open counts as it was when it was closed last. What the store dropped for
want of memory counts until it would have expired.
"""

from gateway.conversations.redis.scripts import Script

COUNT = Script(
    """
-- id, bytes, ttl_ms -> count, bytes of all. An empty id: only count; bytes 0: it is gone.
local kept, bytes = head, turns
local function forget(id)
  redis.call('HINCRBY', bytes, '/', 0 - number(redis.call('HGET', bytes, id)))
  redis.call('HDEL', bytes, id)
  redis.call('ZREM', kept, id)
end
local old = redis.call('ZRANGEBYSCORE', kept, '-inf', now, 'LIMIT', 0, 1000)
for _, id in ipairs(old) do forget(id) end
if ARGV[1] ~= '' then
  forget(ARGV[1])
  if number(ARGV[2]) > 0 then
    redis.call('ZADD', kept, now + ARGV[3], ARGV[1])
    redis.call('HSET', bytes, ARGV[1], ARGV[2])
    redis.call('HINCRBY', bytes, '/', ARGV[2])
  end
end
local count = redis.call('ZCARD', kept)
if count == 0 then redis.call('DEL', bytes) end
if ARGV[1] ~= '' and count > 0 then
  redis.call('PEXPIRE', kept, ARGV[3])
  redis.call('PEXPIRE', bytes, ARGV[3])
end
return {count, number(redis.call('HGET', bytes, '/'))}
"""
)
