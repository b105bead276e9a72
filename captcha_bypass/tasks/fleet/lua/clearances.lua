-- What is shared of solves: clearances, and how a solve has ended that others waited for.

-- Returns id, data and age (ms) of a clearance that is at most so old; nothing: there is none.
function steps.find_clearance(name, max_age)
  local found = redis.call('HMGET', key('clearance:' .. name), 'id', 'data', 'got')
  if not found[1] or now() - found[3] > tonumber(max_age) then return {} end
  redis.call('ZADD', key('clearances'), now(), name)
  return {found[1], found[2], now() - found[3]}
end

local function drop_clearance(name)
  local id = redis.call('HGET', key('clearance:' .. name), 'id')
  if id then redis.call('DEL', key('clearance-id:' .. id)) end
  redis.call('DEL', key('clearance:' .. name))
  redis.call('ZREM', key('clearances'), name)
end

-- Takes one in place of that before, for so many milliseconds; past `most`, that used longest ago goes.
function steps.add_clearance(name, owner, id, data, life, most)
  drop_clearance(name)
  redis.call('HSET', key('clearance:' .. name), 'id', id, 'owner', owner, 'data', data, 'got', now())
  redis.call('PEXPIRE', key('clearance:' .. name), life)
  redis.call('SET', key('clearance-id:' .. id), name, 'PX', life)
  redis.call('ZADD', key('clearances'), now(), name)
  if redis.call('ZCARD', key('clearances')) > tonumber(most) then
    drop_clearance(redis.call('ZRANGE', key('clearances'), 0, 0)[1])
  end
  return 1
end

-- Ends one, if it is that owner's and the newest. Returns whether this has.
function steps.refuse_clearance(owner, id)
  local name = redis.call('GET', key('clearance-id:' .. id))
  if not name then return 0 end
  local found = redis.call('HMGET', key('clearance:' .. name), 'id', 'owner')
  if found[1] ~= id or found[2] ~= owner then return 0 end
  drop_clearance(name)
  return 1
end

-- How a solve has ended, for those that have waited for it.
function steps.end_flight(wish, outcome, life)
  redis.call('HSET', key('flight:' .. wish), 'outcome', outcome, 'at', now())
  redis.call('PEXPIRE', key('flight:' .. wish), life)
  return 1
end

-- Returns how a solve has ended that ended after this task came; nothing: none has.
function steps.flight(wish, id)
  local found = redis.call('HMGET', key('flight:' .. wish), 'outcome', 'at')
  local came = redis.call('HGET', task_key(id), 'came')
  return found[1] and came and tonumber(found[2]) >= tonumber(came) and found[1]
end
