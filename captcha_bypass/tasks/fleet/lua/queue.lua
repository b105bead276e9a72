-- Every step of the queue that a fleet of nodes shares. One call is one step that nothing comes between,
-- and none is half done when a node dies.
--
-- Takes a prefix for its keys, the name of a step, and what that step takes. The steps are in the parts that
-- stand before this one in the script; in which order, tasks/fleet/steps.py says.
return steps[ARGV[2]](unpack(ARGV, 3))
