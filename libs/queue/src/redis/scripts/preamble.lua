-- Put before every script. A queue is these keys, all in one cluster slot; a job is in exactly one
-- of the five sorted sets, and the scores are milliseconds since 1970: when it is due (waiting,
-- retrying), when its lease ends (running), when it finished (done, dead). Members are job ids; in
-- `running`, the claim's token comes after the id, so that who holds the claim can be told from
-- who held it once. The hashes map job ids to their record and, for the few that have them, to how
-- often they failed, how often that was a crash, the last error and the result. Time is the
-- server's, so that no two machines' clocks need agree.
local JOBS, WAITING, RUNNING, RETRYING, DONE, DEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local FAILED, CRASHES, ERRORS, RESULTS, BELL = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- A time as text, made once: numbers are formatted anew wherever they are used.
local function text(time)
    return string.format('%.0f', time)
end

-- Wakes one consumer that waits for work; who finds more than it can take rings on.
local function ring()
    if redis.call('LLEN', BELL) == 0 then redis.call('LPUSH', BELL, 1) end
end

-- Lists are a batch long at most, far below what unpack can take.
local function call(command, key, list)
    if #list > 0 then redis.call(command, key, unpack(list)) end
end

local function add(list, a, b)
    local length = #list
    list[length + 1], list[length + 2] = a, b
end

local function id_of(member)
    return string.sub(member, 1, 36)
end

local function forget(ids)
    call('HDEL', JOBS, ids)
    for _, key in ipairs({ FAILED, CRASHES, ERRORS, RESULTS }) do
        if redis.call('EXISTS', key) == 1 then call('HDEL', key, ids) end
    end
end
