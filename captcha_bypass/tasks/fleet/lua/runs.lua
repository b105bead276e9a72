-- Tasks that a node has: from the moment it takes one until it has said how it ended, or given it back.

-- Count a task as running no more.
local function release(id, node)
  redis.call('HDEL', key('running:' .. node), id)
  redis.call('SREM', key('aside:' .. node), id)
  local groups = groups_of(id)
  for _, group in ipairs(groups) do redis.call('HINCRBY', key('group:' .. group), 'running', -1) end
  wake(groups)
  return groups
end

-- End what a node ran, or have it run again: in its old place.
local function give_back(id, node, most_attempts, poisoned, ttl, most)
  local found = redis.call('HMGET', task_key(id), 'state', 'ticket', 'attempts')
  local groups = release(id, node)
  if found[1] == 'removed' or not found[1] then
    redis.call('DEL', task_key(id))
    tell('ended ' .. id)
  elseif tonumber(found[3]) >= most_attempts then
    finish(id, 'error', poisoned, ttl, most)
  else
    local bounds = {}
    for number, group in ipairs(groups) do bounds[number] = number_of(group, 'bound') end
    enter(id, found[2], groups, bounds)
  end
  drop_unused(groups)
end

-- The first task that is ready for a node; it is so no more.
local function pop_ready(node)
  local any = redis.call('ZRANGE', key('ready'), 0, 0, 'WITHSCORES')
  local own = redis.call('ZRANGE', key('ready:' .. node), 0, 0, 'WITHSCORES')
  local is_own = own[1] and (not any[1] or tonumber(own[2]) < tonumber(any[2]))
  return redis.call('ZPOPMIN', key(is_own and 'ready:' .. node or 'ready'))[1]
end

-- Returns id, payload, owner, timeout, how many milliseconds it was pending, whether its home is lost, and
-- whether there may be more to take; or nothing.
function steps.take(node, token, home_seconds)
  -- It has not said that it lives, or counts as dead: nobody would notice if it died with a task.
  if not is_alive(node) then return {} end
  while true do
    local id = pop_ready(node)
    if not id then return {} end
    local groups = groups_of(id)
    local full, behind
    for _, group in ipairs(groups) do
      -- One that has come back may stand before it since it was made ready.
      behind = behind or is_behind(group, id)
      if not full and is_full(group) then full = group end
    end
    local place = place_of(id)
    if full or behind then
      if not behind then redis.call('ZADD', key('wait:' .. full), ticket_of(id), id) end
      wake(groups)
    elseif place and place ~= node then
      make_ready(id)  -- it got its home since
      wake(groups)
      tell('pending')
    else
      for _, group in ipairs(groups) do redis.call('HINCRBY', key('group:' .. group), 'running', 1) end
      leave(id, groups)
      redis.call('HSET', key('running:' .. node), id, token)
      redis.call('HSET', task_key(id), 'state', 'running', 'node', node, 'token', token, 'taken', now())
      redis.call('HINCRBY', task_key(id), 'attempts', 1)
      local found = redis.call('HMGET', task_key(id), 'payload', 'owner', 'timeout', 'came', 'home')
      local lost = 0
      if found[5] and found[5] ~= '' then
        lost = redis.call('DEL', key('lost:' .. found[5]))
        if lost == 0 then take_home(found[5], node, home_seconds + found[3]) end
      end
      local more = redis.call('EXISTS', key('ready'), key('ready:' .. node))
      return {id, found[1], found[2], found[3], now() - found[4], lost, more}
    end
  end
end

-- Keeps an outcome, if the task is still this node's. Returns whether it did, and ids of results that had to go.
function steps.finish(node, id, token, state, outcome, ttl, most)
  if redis.call('HGET', key('running:' .. node), id) ~= token then return {0, {}} end
  local was = redis.call('HGET', task_key(id), 'state')
  local groups = release(id, node)
  local kept, dropped = 0, {}
  if was == 'removed' then
    redis.call('DEL', task_key(id))
    tell('ended ' .. id)
  else
    kept, dropped = 1, finish(id, state, outcome, tonumber(ttl), tonumber(most))
  end
  drop_unused(groups)
  if redis.call('EXISTS', key('pending')) == 1 then tell('pending') end
  return {kept, dropped}
end

-- Gives a task back that this node has not ended; it does not count as an attempt.
function steps.hand_over(node, id, token)
  if redis.call('HGET', key('running:' .. node), id) ~= token then return 0 end
  redis.call('HINCRBY', task_key(id), 'attempts', -1)
  give_back(id, node, 1000, '', 0, 0)
  return 1
end

-- A task waits for a person, and holds no slot. Returns 0 if it is no longer this node's.
function steps.set_aside(node, id, token, link)
  if redis.call('HGET', key('running:' .. node), id) ~= token then return 0 end
  if redis.call('HGET', task_key(id), 'state') ~= 'running' then return 0 end
  redis.call('HSET', task_key(id), 'state', 'waiting_for_human', 'link', link)
  redis.call('SADD', key('aside:' .. node), id)
  return 1
end
