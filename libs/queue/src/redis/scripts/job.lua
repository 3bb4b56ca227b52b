-- ARGV: the id. Returns which state the job is in (1 waiting, 2 running, 3 retrying, 4 done,
-- 5 dead), its score there, record, how often it failed, last error and result; nothing if there
-- is no such job.
local id = ARGV[1]
local record = redis.call('HGET', JOBS, id)
if not record then return {} end
local state, at
for i, set in pairs({ WAITING, [3] = RETRYING, [4] = DONE, [5] = DEAD }) do
    local score = redis.call('ZSCORE', set, id)
    if score then state, at = i, score end
end
-- A job is always in one of the five; in `running` it can't be looked up without its token.
local job = { state or 2, at or now, record }
for _, key in ipairs({ FAILED, ERRORS, RESULTS }) do job[#job + 1] = redis.call('HGET', key, id) end
return job
