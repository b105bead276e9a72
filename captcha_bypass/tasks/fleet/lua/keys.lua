-- Names of keys, the clock, and how all hear of what happens. The clock is Redis' own: those of the nodes may
-- differ.
--
-- What there is, below the prefix:
--   tickets               the last ticket: a number that grows, a task's place among all
--   task:ID               a hash, see `submit` in tasks.lua
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
-- What can be asked for, by name; the parts after this one fill it.
local steps = {}

local function key(name) return prefix .. name end
local function task_key(id) return prefix .. 'task:' .. id end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function tell(event) redis.call('PUBLISH', key('events'), event) end
