-- ARGV: for each job its member in `running`, what became of it, and two details of that. A job
-- that is claimed under another token by now is left alone.
-- Returns how many claims still held and were so ended.
local members = {}
for i = 1, #ARGV, 4 do members[#members + 1] = ARGV[i] end
local leases = redis.call('ZMSCORE', RUNNING, unpack(members))
local ended, waiting, retrying, done, dead, removed = {}, {}, {}, {}, {}, {}
local errors, results = {}, {}
local at = text(now)

for i, member in ipairs(members) do
    if leases[i] then ended[#ended + 1] = member end
end
-- First of all: a server that is out of memory lets a script go on that began by freeing some.
call('ZREM', RUNNING, ended)

for i, member in ipairs(members) do
    if leases[i] then
        local outcome, detail, words = ARGV[4 * i - 2], ARGV[4 * i - 1], ARGV[4 * i]
        local id = id_of(member)
        if outcome == 'done' then
            add(done, at, id)
            if words ~= '' then add(results, id, words) end
        elseif outcome == 'remove' then
            removed[#removed + 1] = id
        elseif outcome == 'release' then
            -- As if it had not been claimed.
            add(redis.call('HEXISTS', FAILED, id) == 1 and retrying or waiting, at, id)
        else
            redis.call('HINCRBY', FAILED, id, 1)
            add(errors, id, words)
            if outcome == 'dead' then
                add(dead, at, id)
            else
                add(retrying, text(now + detail), id)
            end
        end
    end
end
call('ZADD', WAITING, waiting)
call('ZADD', RETRYING, retrying)
call('ZADD', DONE, done)
call('ZADD', DEAD, dead)
call('HSET', ERRORS, errors)
call('HSET', RESULTS, results)
if #removed > 0 then forget(removed) end
if #waiting + #retrying > 0 then ring() end
return #ended
