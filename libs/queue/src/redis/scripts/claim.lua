-- ARGV: how many at most, the lease in ms, the claim's token, until when the caller waits.
-- Returns now, when the next job is due (-1: none, -2: not looked up, -3: too late, the caller has
-- gone), and the claimed jobs: id, record, attempts, last error.
if now > tonumber(ARGV[4]) then return { now, -3, {} } end
local limit = tonumber(ARGV[1])
local ids = {}
-- Retries go first: they are few, and the oldest.
for _, set in ipairs({ RETRYING, WAITING }) do
    local due = math.min(redis.call('ZCOUNT', set, '-inf', now), limit - #ids)
    if due > 0 then
        local popped = redis.call('ZPOPMIN', set, due)
        for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
    end
end

local jobs = {}
if #ids > 0 then
    local records = redis.call('HMGET', JOBS, unpack(ids))
    local attempts = redis.call('HMGET', ATTEMPTS, unpack(ids))
    local running, tokens, started = {}, {}, {}
    for i, id in ipairs(ids) do
        local attempt = tonumber(attempts[i] or 0) + 1
        local at = 2 * i - 1
        running[at], running[at + 1] = now + ARGV[2], id
        tokens[at], tokens[at + 1] = id, ARGV[3]
        started[at], started[at + 1] = id, attempt
        at = 4 * i - 3
        jobs[at], jobs[at + 1], jobs[at + 2] = id, records[i], attempt
        jobs[at + 3] = attempt > 1 and redis.call('HGET', ERRORS, id)
    end
    call('ZADD', RUNNING, running)
    call('HSET', TOKENS, tokens)
    call('HSET', ATTEMPTS, started)
end

if #ids == limit then
    if redis.call('ZCOUNT', WAITING, '-inf', now) > 0 then ring() end
    return { now, -2, jobs }
end
local next_due = -1
for _, set in ipairs({ RETRYING, WAITING }) do
    local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2]
    if first and (next_due < 0 or tonumber(first) < next_due) then next_due = tonumber(first) end
end
return { now, next_due, jobs }
