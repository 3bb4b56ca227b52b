-- ARGV: the score and the id to start after, how many at most, and which of KEYS holds the jobs.
-- Returns them newest first: score, record, attempts, last error, result, token, id.
local set, limit = KEYS[tonumber(ARGV[4])], tonumber(ARGV[3])
local jobs, found = {}, 0
local rank = redis.call('ZCOUNT', set, '(' .. ARGV[1], '+inf')
repeat
    local chunk = redis.call('ZREVRANGE', set, rank, rank + limit - 1, 'WITHSCORES')
    for i = 1, #chunk, 2 do
        local id, score = chunk[i], chunk[i + 1]
        -- Among those of the same millisecond, some may have been on the page before.
        if found < limit and (tonumber(score) < tonumber(ARGV[1]) or id < ARGV[2]) then
            found = found + 1
            jobs[#jobs + 1] = score
            for _, key in ipairs({ JOBS, ATTEMPTS, ERRORS, RESULTS, TOKENS }) do
                jobs[#jobs + 1] = redis.call('HGET', key, id)
            end
            jobs[#jobs + 1] = id
        end
    end
    rank = rank + limit
until found == limit or #chunk == 0
return jobs
