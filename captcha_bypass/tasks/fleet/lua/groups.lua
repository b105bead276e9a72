-- Groups of tasks: how many of each are pending and run, and whether another may run.

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

local function drop_unused(groups)
  for _, group in ipairs(groups) do
    if number_of(group, 'pending') <= 0 and number_of(group, 'running') <= 0 then
      redis.call('DEL', key('group:' .. group), key('wait:' .. group), key('line:' .. group))
    end
  end
end
