-- ARGV: the lease in ms, then the members of `running`. Returns the ids whose claim still holds.
local members = { unpack(ARGV, 2) }
local leases = redis.call('ZMSCORE', RUNNING, unpack(members))
local running, kept, lease = {}, {}, text(now + ARGV[1])
for i, member in ipairs(members) do
    if leases[i] then
        kept[#kept + 1] = id_of(member)
        add(running, lease, member)
    end
end
call('ZADD', RUNNING, running)
return kept
