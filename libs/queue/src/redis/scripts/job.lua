-- ARGV: the id. Returns which state the job is in (1 waiting, 2 running, 3 retrying, 4 done,
-- 5 dead), its score there, record, attempts, last error, result and token; nothing if there is no
-- such job.
for i, set in ipairs({ WAITING, RUNNING, RETRYING, DONE, DEAD }) do
    local score = redis.call('ZSCORE', set, ARGV[1])
    if score then
        local job = { i, score }
        for _, key in ipairs({ JOBS, ATTEMPTS, ERRORS, RESULTS, TOKENS }) do
            job[#job + 1] = redis.call('HGET', key, ARGV[1])
        end
        return job
    end
end
return {}
