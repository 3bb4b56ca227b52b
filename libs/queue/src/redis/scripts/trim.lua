-- ARGV: for how many ms ended jobs are kept, how many are kept, how many to forget at most, and the key
-- of their state. Returns how many were forgotten.
local ended = KEYS[tonumber(ARGV[4])]
local old = redis.call('ZCOUNT', ended, '-inf', '(' .. text(now - ARGV[1]))
local surplus = redis.call('ZCARD', ended) - ARGV[2]
local count = math.min(math.max(old, surplus), tonumber(ARGV[3]))
if count <= 0 then return 0 end
local popped = redis.call('ZPOPMIN', ended, count)
local ids = {}
for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
forget(ids)
return #ids
