-- ARGV: the lease in ms, then id and token of each claim. Returns the ids whose claim still holds.
local ids = {}
for i = 2, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
local tokens = redis.call('HMGET', TOKENS, unpack(ids))
local running, kept = {}, {}
for i, id in ipairs(ids) do
    if tokens[i] == ARGV[2 * i + 1] then
        kept[#kept + 1] = id
        running[#running + 1] = now + ARGV[1]
        running[#running + 1] = id
    end
end
call('ZADD', RUNNING, running)
return kept
