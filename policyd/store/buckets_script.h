/* buckets_script.h - the token buckets' arithmetic (limit/bucket.h) as Redis does it, for all measures of one bucket at once.
 *
 * KEYS  {l:<kind><hash>}    hash    t (ms, Redis' own clock), born (ms), id, tokens by measure: m r d b
 *       {l:<kind><hash>}r   zset    recipients counted as distinct, by the time they were (ms)
 * ARGV  1 "1" forced: costs are booked whatever is left   2 warm-up (ms)   3 born by provisioning (ms, 0: not known)
 *       4 when limits were first counted here (ms): who was there by then + the warm-up is no new account   5 nodes
 *       6 recipient, or ""   7 id, for people
 *       then for each measure: 8 capacity (0: no limit)  9 tokens a ms  10 cost  11 wanted ahead;  24 time of the distinct (ms)
 * Reply 1 taken: {1, warmth, new recipient (0, 1), tokens left x 4, tokens ahead x 4}
 *       0 over:  {0, measure (1-4), ms to wait}
 *
 * One clock, one writer: the script is atomic, and its keys share a hash tag, so that Cluster runs it where they are. */
static const char script_take[] =
	"local t = redis.call('TIME')\n"
	"local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
	"local h = redis.call('HMGET', KEYS[1], 't', 'born', 'm', 'r', 'd', 'b')\n"
	"local names, cap, per, cost, left, ahead = {'m', 'r', 'd', 'b'}, {}, {}, {}, {}, {}\n"
	"local warm, born, warmth = tonumber(ARGV[2]), tonumber(ARGV[3]), 1\n"
	"if born == 0 then born = tonumber(h[2] or now) end\n"
	"if warm > 0 and not (ARGV[3] == '0' and born < tonumber(ARGV[4]) + warm) and now - born < warm then\n"
	"  warmth = math.max(0.1, (now - born) / warm)\n"
	"end\n"
	"local since, fresh, ttl = math.max(0, now - tonumber(h[1] or now)), 0, 60000\n"
	"for i = 1, 4 do\n"
	"  local at = 8 + (i - 1) * 4\n"
	"  cap[i], per[i], cost[i] = tonumber(ARGV[at]), tonumber(ARGV[at + 1]) * warmth, tonumber(ARGV[at + 2])\n"
	"  if cap[i] > 0 then\n"
	"    cap[i] = math.max(1, math.floor(cap[i] * warmth))\n"
	"    left[i] = math.min(cap[i], tonumber(h[i + 2] or cap[i]) + since * per[i])\n"
	"    ttl = math.max(ttl, math.ceil((cap[i] - math.min(0, left[i])) / per[i]) + 60000)\n"
	"  else left[i], cost[i] = 0, 0 end\n"
	"end\n"
	"if cap[3] > 0 and ARGV[6] ~= '' and cost[3] > 0 then\n"
	"  local s = redis.call('ZSCORE', KEYS[2], ARGV[6])\n"
	"  if s and tonumber(s) > now - tonumber(ARGV[24]) then cost[3] = 0 else fresh = 1 end\n"
	"end\n"
	"if ARGV[1] ~= '1' then for i = 1, 4 do\n"
	"  if cost[i] > 0 and left[i] < math.min(cost[i], cap[i]) then\n"
	"    return {0, i, math.ceil((math.min(cost[i], cap[i]) - left[i]) / per[i])}\n"
	"  end\n"
	"end end\n"
	"local reply, set = {1, tostring(warmth), fresh}, {'t', now, 'id', ARGV[7]}\n"
	"for i = 1, 4 do\n"
	"  ahead[i] = 0\n"
	"  if cap[i] > 0 then\n"
	"    left[i] = math.min(cap[i], left[i] - cost[i])\n"
	"    ahead[i] = math.max(0, math.min(tonumber(ARGV[8 + (i - 1) * 4 + 3]), math.floor((left[i] - cap[i] / 2) / (2 * tonumber(ARGV[5])))))\n"
	"    left[i] = left[i] - ahead[i]\n"
	"    set[#set + 1] = names[i]\n"
	"    set[#set + 1] = string.format('%.6f', left[i])\n"
	"  end\n"
	"  reply[3 + i], reply[7 + i] = tostring(left[i]), ahead[i]\n"
	"end\n"
	"if warm > 0 then\n"
	"  set[#set + 1] = 'born'\n"
	"  set[#set + 1] = born\n"
	"  ttl = math.max(ttl, 180 * 86400000)\n"
	"end\n"
	"redis.call('HSET', KEYS[1], unpack(set))\n"
	"redis.call('PEXPIRE', KEYS[1], ttl)\n"
	"if fresh == 1 then\n"
	"  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[24]))\n"
	"  redis.call('ZADD', KEYS[2], now, ARGV[6])\n"
	"  redis.call('PEXPIRE', KEYS[2], tonumber(ARGV[24]))\n"
	"end\n"
	"return reply\n";
