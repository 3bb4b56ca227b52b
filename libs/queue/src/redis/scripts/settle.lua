-- ARGV: for each job its id, its claim's token, what became of it, and two details of that.
-- A job that is claimed under another token by now is left alone.
-- Returns how many claims still held and were so ended.
local ids = {}
for i = 1, #ARGV, 5 do ids[#ids + 1] = ARGV[i] end
local tokens = redis.call('HMGET', TOKENS, unpack(ids))
local ended, waiting, retrying, done, dead, removed = {}, {}, {}, {}, {}, {}
local errors, results = {}, {}

local function add(list, a, b)
    list[#list + 1] = a
    list[#list + 1] = b
end

for i, id in ipairs(ids) do
    local at = 5 * i - 4
    local outcome, detail, text = ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    if tokens[i] == ARGV[at + 1] then
        ended[#ended + 1] = id
        if outcome == 'done' then
            add(done, now, id)
            if text ~= '' then add(results, id, text) end
        elseif outcome == 'retry' then
            add(retrying, now + detail, id)
            add(errors, id, text)
        elseif outcome == 'dead' then
            add(dead, now, id)
            add(errors, id, text)
        elseif outcome == 'remove' then
            removed[#removed + 1] = id
        else
            -- Handed back: as if it had not been claimed.
            local failed = redis.call('HINCRBY', ATTEMPTS, id, -1) > 0
            add(failed and retrying or waiting, now, id)
        end
    end
end
call('ZREM', RUNNING, ended)
call('HDEL', TOKENS, ended)
call('ZADD', WAITING, waiting)
call('ZADD', RETRYING, retrying)
call('ZADD', DONE, done)
call('ZADD', DEAD, dead)
call('HSET', ERRORS, errors)
call('HSET', RESULTS, results)
forget(removed)
if #waiting + #retrying > 0 then ring() end
return #ended
