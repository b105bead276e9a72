-- Results of tasks that have ended: kept for a time, and no more than so many bytes.

local function forget(id)
  redis.call('ZREM', key('finished'), id)
  local bytes = redis.call('HGET', key('weights'), id)
  if bytes then
    redis.call('DECRBY', key('weight'), bytes)
    redis.call('HDEL', key('weights'), id)
  end
  redis.call('DEL', task_key(id))
end

-- Drop results past their time, and the oldest where all are too heavy. Returns the latter's ids.
local function tidy(ttl, most)
  local past = redis.call('ZRANGEBYSCORE', key('finished'), '-inf', now() - ttl, 'LIMIT', 0, 1000)
  for _, id in ipairs(past) do forget(id) end
  local dropped = {}
  while tonumber(redis.call('GET', key('weight')) or 0) > most and redis.call('ZCARD', key('finished')) > 1 do
    local oldest = redis.call('ZRANGE', key('finished'), 0, 0)[1]
    forget(oldest)
    table.insert(dropped, oldest)
  end
  return dropped
end

local function finish(id, state, outcome, ttl, most)
  local before = redis.call('HGET', key('weights'), id)  -- the answer to the first call was lost
  if before then redis.call('DECRBY', key('weight'), before) end
  redis.call('HSET', task_key(id), 'state', state, 'outcome', outcome, 'ended', now())
  redis.call('HDEL', task_key(id), 'payload', 'token', 'node')  -- a proxy password may be in there
  redis.call('ZADD', key('finished'), now(), id)
  redis.call('HSET', key('weights'), id, #outcome)
  redis.call('INCRBY', key('weight'), #outcome)
  -- Where no node is left that would drop it.
  redis.call('PEXPIRE', task_key(id), ttl + 60000)
  tell('ended ' .. id)
  return tidy(ttl, most)
end
