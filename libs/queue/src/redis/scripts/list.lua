-- ARGV: the score and the id to start after, how many at most, and which of KEYS holds the jobs.
-- Returns them newest first: score, record, how often they failed, last error, result, id.
local set, limit = KEYS[tonumber(ARGV[4])], tonumber(ARGV[3])
local jobs, found = {}, 0
local rank = redis.call('ZCOUNT', set, '(' .. ARGV[1], '+inf')
repeat
    local chunk = redis.call('ZREVRANGE', set, rank, rank + limit - 1, 'WITHSCORES')
    for i = 1, #chunk, 2 do
        local id, score = id_of(chunk[i]), chunk[i + 1]
        local record = redis.call('HGET', JOBS, id)
        -- Among those of the same millisecond, some may have been on the page before.
        local later = tonumber(score) < tonumber(ARGV[1]) or id < ARGV[2]
        if record and found < limit and later then
            found = found + 1
            add(jobs, score, record)
            for _, key in ipairs({ FAILED, ERRORS, RESULTS }) do
                jobs[#jobs + 1] = redis.call('HGET', key, id)
            end
            jobs[#jobs + 1] = id
        end
    end
    rank = rank + limit
until found == limit or #chunk == 0
return jobs
