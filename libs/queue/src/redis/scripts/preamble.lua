-- Put before every script. A queue is these keys, all in one cluster slot; a job is in exactly one
-- of the five sets, and their scores are milliseconds since 1970: when it is due (waiting,
-- retrying), when its lease ends (running), when it finished (done, dead). The hashes map job ids
-- to the rest. Time is the server's, so that no two machines' clocks need agree.
local JOBS, WAITING, RUNNING, RETRYING, DONE, DEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local TOKENS, ATTEMPTS, CRASHES, ERRORS, RESULTS = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local BELL = KEYS[12]

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Wakes one consumer that waits for work; who finds more than it can take rings on.
local function ring()
    if redis.call('LLEN', BELL) == 0 then redis.call('LPUSH', BELL, 1) end
end

-- Lists are a batch long at most, far below what unpack can take.
local function call(command, key, list)
    if #list > 0 then redis.call(command, key, unpack(list)) end
end

local function forget(ids)
    for _, key in ipairs({ JOBS, ATTEMPTS, CRASHES, ERRORS, RESULTS }) do call('HDEL', key, ids) end
end
