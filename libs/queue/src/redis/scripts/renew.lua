-- ARGV: the lease in ms, then the members of `running`. Returns the ids whose claim still holds.
local members = { unpack(ARGV, 2) }
local leases = redis.call('ZMSCORE', RUNNING, unpack(members))
local held, running, kept, lease = {}, {}, {}, text(now + ARGV[1])
for i, member in ipairs(members) do
    if leases[i] then
        held[#held + 1] = member
        kept[#kept + 1] = id_of(member)
        add(running, lease, member)
    end
end
-- Taken out first: a server that is out of memory lets a script go on that began by freeing some.
call('ZREM', RUNNING, held)
call('ZADD', RUNNING, running)
return kept
