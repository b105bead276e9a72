-- Homes: which node has what tasks need that name it.

local function take_home(home, node, seconds)
  local life = math.ceil(seconds * 1000)
  redis.call('SET', key('home:' .. home), node, 'PX', life)
  redis.call('ZADD', key('homes:' .. node), now() + life, home)
  redis.call('ZREMRANGEBYSCORE', key('homes:' .. node), '-inf', now())
end

-- Says where a home is: it is the asking node's from now on, or that of a node with slots, if it is nobody's.
-- Returns the node and its URL, and whether it was lost, which is told once; nothing: no node has slots.
function steps.claim(home, node, seconds)
  if redis.call('DEL', key('lost:' .. home)) == 1 then return {'', '', 1} end
  local holder = redis.call('GET', key('home:' .. home))
  if not holder or not is_alive(holder) then
    holder = nil
    local least
    for _, one in ipairs(redis.call('ZRANGEBYSCORE', key('nodes'), now(), '+inf')) do
      local slots = tonumber(redis.call('HGET', key('node:' .. one), 'slots') or 0)
      local load = slots > 0 and redis.call('HLEN', key('running:' .. one)) / slots
      if load and (one == node or not least or (load < least and holder ~= node)) then
        holder, least = one, load
      end
    end
    if not holder then return {} end
  end
  take_home(home, holder, tonumber(seconds))
  return {holder, redis.call('HGET', key('node:' .. holder), 'url') or '', 0}
end

-- Returns the node that has a home, or nothing.
function steps.holder(home)
  local holder = redis.call('GET', key('home:' .. home))
  return holder and is_alive(holder) and holder
end

-- Returns all homes that begin so and are somebody's.
function steps.homes(start)
  local found = {}
  for _, node in ipairs(redis.call('ZRANGE', key('nodes'), 0, -1)) do
    for _, home in ipairs(redis.call('ZRANGE', key('homes:' .. node), 0, -1)) do
      if redis.call('GET', key('home:' .. home)) ~= node then
        redis.call('ZREM', key('homes:' .. node), home)
      elseif string.sub(home, 1, #start) == start then
        table.insert(found, home)
      end
    end
  end
  return found
end

-- Whoever has a home ends it.
function steps.end_home(home)
  tell('end ' .. home)
  return redis.call('DEL', key('lost:' .. home))
end

-- A node has a home no more.
function steps.leave_home(home, node)
  redis.call('ZREM', key('homes:' .. node), home)
  if redis.call('GET', key('home:' .. home)) == node then
    redis.call('DEL', key('home:' .. home))
    for _, id in ipairs(redis.call('ZRANGE', key('ready:' .. node), 0, -1)) do
      if redis.call('HGET', task_key(id), 'home') == home and make_ready(id) then tell('pending') end
    end
  end
  tell('left ' .. home)
  return 1
end
