-- Every step of the queue that a fleet of nodes shares. One call is one step that nothing comes between,
-- and none is half done when a node dies. The clock is Redis' own: those of the nodes may differ.
--
-- Takes a prefix for its keys, the name of a step (see `steps`, below), and what that step takes.
--
-- What there is, below the prefix:
--   tickets               the last ticket: a number that grows, a task's place among all
--   task:ID               a hash, see `submit`
--   pending, ready        sorted sets of ids by ticket. Each pending task is behind another in a line, or in
--                         `ready`, or in `wait:GROUP` of a full group, as in tasks/pending.py
--   group:G               a hash: its bound, and how many of its tasks are pending and running
--   wait:G, line:G        sorted sets by ticket: tasks that found it full; its pending ones, if its bound is 1
--   home:H, homes:N       which node has what tasks need that name H as their home; what a node has, a sorted set
--                         by the time (ms) at which it has it no more, unless it is used
--   lost:H                set where its node has died, for the next task to be told
--   ready:N               as `ready`, of tasks that N alone may run
--   pins:N                a set of the pending tasks that no other node may ever run
--   nodes                 a sorted set of nodes by the time (ms) at which they count as dead
--   node:N, running:N     a hash of what it told; a hash from ids to the tokens of the tasks that it runs
--   aside:N               a set of those of them that hold no slot
--   finished, weights     a sorted set of ids by the time of their end (ms), and a hash of their bytes
--   secret                what nodes know each other by, where nothing else tells them
--   clearance:C, clearance-id:I, clearances   what may be shared of a solve; whose id is whose; when each was used
--   flight:W              how the last solve of a wish has ended
--   weight, swept         all those bytes; when dead nodes were looked for last (ms)
--   events                a channel: `pending`, `ended ID`, `cancel ID`
local prefix = ARGV[1]

local function key(name) return prefix .. name end
local function task_key(id) return prefix .. 'task:' .. id end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function tell(event) redis.call('PUBLISH', key('events'), event) end

-- Groups ---------------------------------------------------------------------------------------------------

local function groups_of(id)
  return cjson.decode(redis.call('HGET', task_key(id), 'groups') or '[]')
end

local function number_of(group, field)
  return tonumber(redis.call('HGET', key('group:' .. group), field) or 0)
end

local function is_full(group) return number_of(group, 'running') >= number_of(group, 'bound') end

local function head_of(group) return redis.call('ZRANGE', key('line:' .. group), 0, 0)[1] end

local function is_behind(group, id)
  return number_of(group, 'bound') == 1 and head_of(group) ~= id
end

local function ticket_of(id) return redis.call('HGET', task_key(id), 'ticket') end

-- Nodes ----------------------------------------------------------------------------------------------------

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

local function take_home(home, node, seconds)
  local life = math.ceil(seconds * 1000)
  redis.call('SET', key('home:' .. home), node, 'PX', life)
  redis.call('ZADD', key('homes:' .. node), now() + life, home)
  redis.call('ZREMRANGEBYSCORE', key('homes:' .. node), '-inf', now())
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

local function drop_unused(groups)
  for _, group in ipairs(groups) do
    if number_of(group, 'pending') <= 0 and number_of(group, 'running') <= 0 then
      redis.call('DEL', key('group:' .. group), key('wait:' .. group), key('line:' .. group))
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

-- Count a task as running no more.
local function release(id, node)
  redis.call('HDEL', key('running:' .. node), id)
  redis.call('SREM', key('aside:' .. node), id)
  local groups = groups_of(id)
  for _, group in ipairs(groups) do redis.call('HINCRBY', key('group:' .. group), 'running', -1) end
  wake(groups)
  return groups
end

-- Results --------------------------------------------------------------------------------------------------

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

local steps = {}

-- Returns 1, or 0 where too many are pending. `home` and `pin` may be empty.
function steps.submit(id, payload, timeout, owner, groups, bounds, most_pending, home, pin)
  if redis.call('EXISTS', task_key(id)) == 1 then return 1 end  -- the answer to the first call was lost
  if redis.call('ZCARD', key('pending')) >= tonumber(most_pending) then return 0 end
  local ticket = redis.call('INCR', key('tickets'))
  redis.call('HSET', task_key(id), 'ticket', ticket, 'payload', payload, 'timeout', timeout, 'owner', owner,
    'groups', groups, 'came', now(), 'attempts', 0, 'home', home, 'pin', pin)
  enter(id, ticket, cjson.decode(groups), cjson.decode(bounds))
  return 1
end

-- Keeps the outcome of a task that nobody ran. Returns ids of results that had to go.
function steps.put(id, state, owner, outcome, ttl, most)
  redis.call('HSET', task_key(id), 'owner', owner)
  return finish(id, state, outcome, tonumber(ttl), tonumber(most))
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

-- Returns state, owner, outcome and link; nothing if it is unknown or past its time.
function steps.get(id, ttl)
  local found = redis.call('HMGET', task_key(id), 'state', 'owner', 'ended', 'outcome', 'link')
  if not found[1] or found[1] == 'removed' then return {} end
  if found[3] and found[3] + ttl <= now() then return {} end
  return {found[1], found[2], found[4] or '', found[1] == 'waiting_for_human' and found[5] or ''}
end

-- Returns 0: there was none; 1: it is gone; 2: gone, once the node that runs it has let go of it.
function steps.remove(id, ttl)
  local found = redis.call('HMGET', task_key(id), 'state', 'ended')
  if not found[1] or found[1] == 'removed' then return 0 end
  if found[2] then
    forget(id)
    return found[2] + ttl <= now() and 0 or 1
  end
  if found[1] == 'pending' then
    local groups = groups_of(id)
    leave(id, groups)
    redis.call('DEL', task_key(id))
    drop_unused(groups)
    tell('ended ' .. id)
    tell('pending')  -- it may have held up those behind it in a line
    return 1
  end
  redis.call('HSET', task_key(id), 'state', 'removed')
  redis.call('HDEL', task_key(id), 'payload')
  tell('cancel ' .. id)
  return 2
end

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

-- Clearances -----------------------------------------------------------------------------------------------

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

-- Nodes that come and go ------------------------------------------------------------------------------------

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

return steps[ARGV[2]](unpack(ARGV, 3))
