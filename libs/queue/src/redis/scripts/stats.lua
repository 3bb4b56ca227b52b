-- Returns how many jobs wait, run, retry, are done and are dead, and for how many ms the oldest
-- one that is due has been.
local oldest = 0
for _, set in ipairs({ WAITING, RETRYING }) do
    local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2]
    if first then oldest = math.max(oldest, now - first) end
end
local counts = {}
for i, set in ipairs({ WAITING, RUNNING, RETRYING, DONE, DEAD }) do
    counts[i] = redis.call('ZCARD', set)
end
counts[6] = oldest
return counts
