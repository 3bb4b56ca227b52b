-- ARGV: until when it is in time to judge leases, how many crashes are too many, the error a crash
-- leaves, how many jobs at most.
-- Returns now, and how many jobs were taken from dead workers, -1 when it was too late to judge.
if now > tonumber(ARGV[1]) then return { now, -1 } end
local members = redis.call('ZRANGE', RUNNING, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[4])
call('ZREM', RUNNING, members)
for _, member in ipairs(members) do
    local id = id_of(member)
    local crashes = redis.call('HINCRBY', CRASHES, id, 1)
    local failed = redis.call('HINCRBY', FAILED, id, 1)
    -- A record starts with the job's max_attempts.
    local max_attempts = tonumber(string.match(redis.call('HGET', JOBS, id) or '', '^%d+') or 0)
    local dead = max_attempts > 0 and (crashes >= tonumber(ARGV[2]) or failed >= max_attempts)
    redis.call('ZADD', dead and DEAD or RETRYING, now, id)
    redis.call('HSET', ERRORS, id, ARGV[3])
end
if #members > 0 then ring() end
return { now, #members }
