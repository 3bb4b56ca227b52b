-- ARGV: how many at most, the lease in ms, the claim's token, until when the caller waits.
-- Returns now, when the next job is due (-1: none, -2: not looked up, -3: too late, the caller has
-- gone), and the claimed jobs: id, record, how often they failed, last error.
if now > tonumber(ARGV[4]) then return { now, -3, {} } end
local limit = tonumber(ARGV[1])
local ids = {}
local function take(set)
    local due = math.min(redis.call('ZCOUNT', set, '-inf', now), limit - #ids)
    if due <= 0 then return end
    local popped = redis.call('ZPOPMIN', set, due)
    for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
end
-- Retries go first: they are few, and the oldest. Only they have failed before.
take(RETRYING)
local retried = #ids
take(WAITING)

local jobs = {}
if #ids > 0 then
    local records = redis.call('HMGET', JOBS, unpack(ids))
    local failed, errors = {}, {}
    if retried > 0 then
        failed = redis.call('HMGET', FAILED, unpack(ids, 1, retried))
        errors = redis.call('HMGET', ERRORS, unpack(ids, 1, retried))
    end
    local running, lease, token = {}, text(now + ARGV[2]), ':' .. ARGV[3]
    for i, id in ipairs(ids) do
        -- Without a record (a server that evicts keys), there is nothing left to run.
        if records[i] then
            add(running, lease, id .. token)
            add(jobs, id, records[i])
            add(jobs, failed[i] or '0', errors[i] or false)
        end
    end
    call('ZADD', RUNNING, running)
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
