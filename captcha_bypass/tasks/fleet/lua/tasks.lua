-- What any node asks for a client: to queue a task, to keep its outcome, to tell of it, to remove it.

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
