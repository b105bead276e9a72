-- Nodes that come and go, and numbers of all of them.

-- Returns pending, age of the oldest (ms), and for each living node its id, name, slots, tasks, and how many
-- of these hold no slot.
function steps.stats()
  local first = redis.call('ZRANGE', key('pending'), 0, 0)[1]
  local age = first and now() - redis.call('HGET', task_key(first), 'came') or 0
  local nodes = {}
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', key('nodes'), now(), '+inf')) do
    local told = redis.call('HMGET', key('node:' .. node), 'name', 'slots')
    table.insert(nodes, {node, told[1] or '', told[2] or 0, redis.call('HLEN', key('running:' .. node)),
      redis.call('SCARD', key('aside:' .. node))})
  end
  return {redis.call('ZCARD', key('pending')), age, nodes}
end

-- A node says that it lives, and what it runs: ids by token. Returns the tokens that it must run no more.
function steps.beat(node, name, slots, url, secret, known, lease, patience)
  redis.call('ZADD', key('nodes'), now() + lease, node)
  redis.call('HSET', key('node:' .. node), 'name', name, 'slots', slots, 'url', url)
  -- A Redis that forgets everything is given it again.
  if secret ~= '' then redis.call('SETNX', key('secret'), secret) end
  local runs = cjson.decode(known)
  local kept = redis.call('HGETALL', key('running:' .. node))
  for number = 1, #kept, 2 do
    local id, token = kept[number], kept[number + 1]
    local taken = tonumber(redis.call('HGET', task_key(id), 'taken') or 0)
    if not runs[token] and taken + patience < now() then
      -- It was taken, and the answer was lost.
      redis.call('HINCRBY', task_key(id), 'attempts', -1)
      give_back(id, node, 1000, '', 0, 0)
    end
  end
  local lost = {}
  for token, id in pairs(runs) do
    local is_removed = redis.call('HGET', task_key(id), 'state') == 'removed'
    if is_removed or redis.call('HGET', key('running:' .. node), id) ~= token then
      table.insert(lost, token)
    end
  end
  return lost
end

-- A node says that it goes. Tasks of its homes are told that these are lost; those that are pinned to it end.
function steps.depart(node, lost, lost_seconds, ttl, most)
  for _, id in ipairs(redis.call('HKEYS', key('running:' .. node))) do
    -- It was taken, and the answer was lost.
    redis.call('HINCRBY', task_key(id), 'attempts', -1)
    give_back(id, node, 1000, '', 0, 0)
  end
  redis.call('ZREM', key('nodes'), node)
  for _, home in ipairs(redis.call('ZRANGE', key('homes:' .. node), 0, -1)) do
    if redis.call('GET', key('home:' .. home)) == node then
      redis.call('DEL', key('home:' .. home))
      if string.sub(home, 1, 8) == 'session:' then  -- others have no user who knows of them
        redis.call('SET', key('lost:' .. home), 1, 'PX', math.ceil(lost_seconds * 1000))
      end
    end
  end
  for _, id in ipairs(redis.call('SMEMBERS', key('pins:' .. node))) do
    local groups = groups_of(id)
    leave(id, groups)
    finish(id, 'error', lost, tonumber(ttl), tonumber(most))
    drop_unused(groups)
  end
  for _, id in ipairs(redis.call('ZRANGE', key('ready:' .. node), 0, -1)) do make_ready(id) end
  tell('pending')
  redis.call('DEL', key('node:' .. node), key('running:' .. node), key('aside:' .. node), key('homes:' .. node))
  return 1
end

-- Has the tasks of dead nodes run again. Returns how many nodes were dead, and how many tasks they had.
function steps.sweep(lease, pause, most_attempts, poisoned, ttl, most, lost, lost_seconds)
  local time, last = now(), tonumber(redis.call('GET', key('swept')) or 0)
  redis.call('SET', key('swept'), time)
  if time - last > tonumber(pause) then
    -- No node has reached Redis for a while: then it is not the nodes that were away. None is dead before
    -- it has had the time to say that it lives.
    for _, node in ipairs(redis.call('ZRANGEBYSCORE', key('nodes'), '-inf', time + lease)) do
      redis.call('ZADD', key('nodes'), time + lease, node)
    end
    return {0, 0}
  end
  local tasks, dead = 0, redis.call('ZRANGEBYSCORE', key('nodes'), '-inf', time)
  for _, node in ipairs(dead) do
    for _, id in ipairs(redis.call('HKEYS', key('running:' .. node))) do
      give_back(id, node, tonumber(most_attempts), poisoned, tonumber(ttl), tonumber(most))
      tasks = tasks + 1
    end
    steps.depart(node, lost, lost_seconds, ttl, most)
  end
  tidy(tonumber(ttl), tonumber(most))
  return {#dead, tasks}
end
