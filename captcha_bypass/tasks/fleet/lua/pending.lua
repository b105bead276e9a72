-- Pending tasks: which of them may run next, and on which node.

local function ticket_of(id) return redis.call('HGET', task_key(id), 'ticket') end

local function is_alive(node) return redis.call('ZSCORE', key('nodes'), node) ~= false end

-- Which node must run a task; false: any may.
local function place_of(id)
  local found = redis.call('HMGET', task_key(id), 'home', 'pin')
  if found[2] and found[2] ~= '' then return found[2] end
  local holder = found[1] and found[1] ~= '' and redis.call('GET', key('home:' .. found[1]))
  return holder and is_alive(holder) and holder
end

-- Returns whether any node may run it.
local function make_ready(id)
  local place = place_of(id)
  local set = key(place and 'ready:' .. place or 'ready')
  local before = redis.call('HGET', task_key(id), 'at')
  if before and before ~= set then redis.call('ZREM', before, id) end
  redis.call('HSET', task_key(id), 'at', set)
  redis.call('ZADD', set, ticket_of(id), id)
  return not place
end

-- Make a task ready, unless it is behind another, or one of its groups is full.
local function offer(id)
  local full
  for _, group in ipairs(groups_of(id)) do
    if is_behind(group, id) then return end
    if is_full(group) then full = group end
  end
  if full then
    redis.call('ZADD', key('wait:' .. full), ticket_of(id), id)
  else
    make_ready(id)
  end
end

-- Make the first waiting task of each group that has room ready, and those before it that wait for one node:
-- it may be long until that has a slot.
local function wake(groups)
  for _, group in ipairs(groups) do
    if not is_full(group) then
      repeat
        local first = redis.call('ZPOPMIN', key('wait:' .. group))
      until not first[1] or make_ready(first[1])
    end
  end
end

-- Put a task among the pending; `bounds` are those of groups that have no tasks yet.
local function enter(id, ticket, groups, bounds)
  redis.call('HSET', task_key(id), 'state', 'pending')
  redis.call('ZADD', key('pending'), ticket, id)
  local pin = redis.call('HGET', task_key(id), 'pin')
  if pin and pin ~= '' then redis.call('SADD', key('pins:' .. pin), id) end
  for number, group in ipairs(groups) do
    redis.call('HSETNX', key('group:' .. group), 'bound', bounds[number])
    redis.call('HINCRBY', key('group:' .. group), 'pending', 1)
    if number_of(group, 'bound') == 1 then redis.call('ZADD', key('line:' .. group), ticket, id) end
  end
  offer(id)
  tell('pending')
end

-- Take a task from the pending: those move up that were behind it, or waiting for one that was ready.
local function leave(id, groups)
  redis.call('ZREM', key('pending'), id)
  local found = redis.call('HMGET', task_key(id), 'at', 'pin')
  if found[1] then redis.call('ZREM', found[1], id) end
  if found[2] and found[2] ~= '' then redis.call('SREM', key('pins:' .. found[2]), id) end
  for _, group in ipairs(groups) do
    redis.call('ZREM', key('wait:' .. group), id)
    redis.call('HINCRBY', key('group:' .. group), 'pending', -1)
    if redis.call('ZREM', key('line:' .. group), id) == 1 then
      local head = head_of(group)
      if head then offer(head) end
    end
  end
  wake(groups)
end
