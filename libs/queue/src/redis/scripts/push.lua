-- ARGV: how long unique keys are remembered, in ms; then for each job its id, its record, when it
-- is due ('' for now) and which of KEYS is its unique key ('' for none).
-- Returns 1 for each job that is new, 0 for each that isn't.
local pushed, waiting = {}, {}
local at_once = text(now)
for i = 2, #ARGV, 4 do
    local id, record, due, key = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local new
    if key == '' then
        new = redis.call('HSETNX', JOBS, id, record) == 1
    else
        new = redis.call('HEXISTS', JOBS, id) == 0
            and redis.call('SET', KEYS[tonumber(key)], id, 'NX', 'PX', ARGV[1]) ~= false
        if new then redis.call('HSET', JOBS, id, record) end
    end
    if new then add(waiting, due == '' and at_once or due, id) end
    pushed[#pushed + 1] = new and 1 or 0
end
call('ZADD', WAITING, waiting)
if #waiting > 0 then ring() end
return pushed
