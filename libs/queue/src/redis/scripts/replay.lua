-- ARGV: the id of one job, which is replayed if it is dead or retrying; or how many of the dead to
-- replay at most, and ''. Returns how many were.
local ids = { ARGV[1] }
if ARGV[2] then
    ids = redis.call('ZRANGE', DEAD, 0, ARGV[1] - 1)
elseif redis.call('ZREM', RETRYING, ARGV[1]) + redis.call('ZREM', DEAD, ARGV[1]) == 0 then
    return 0
end
local waiting = {}
for _, id in ipairs(ids) do add(waiting, text(now), id) end
call('ZREM', DEAD, ids)
call('HDEL', FAILED, ids)
call('HDEL', CRASHES, ids)
call('ZADD', WAITING, waiting)
if #ids > 0 then ring() end
return #ids
