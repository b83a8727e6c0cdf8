#!lua name=candlemaker_pace

-- The pace that all senders of a project share; the same arithmetic as pace.py, which says why.

local BURST_S, IDLE_MS, LUMP_S, LEAST_ROOM = 0.25, 30000, 0.02, 2
local LEAST_WAIT_MS, MOST_WAIT_MS = 5, 1000

local function clock(given)
    local now = tonumber(given)
    if now > 0 then return now end
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function fill(tokens, at, rate, now, least)
    if at > 0 then tokens = tokens + rate * math.max(0, now - at) / 1000 end
    return math.min(tokens, math.max(least or 1, rate * BURST_S)), math.max(at, now)
end

local function wait_ms(tokens, rate, kept)
    local missing = math.max(1, rate * LUMP_S) - math.max(0, tokens - kept)
    if missing <= 0 then return LEAST_WAIT_MS end
    if rate <= 0 then return LEAST_WAIT_MS * 10 end
    return math.max(LEAST_WAIT_MS, math.min(MOST_WAIT_MS, math.floor(missing * 1000 / rate) + 1))
end

local function number(text) return tonumber(text or '0') end

-- take(KEYS pace, campaign; ARGV now_ms (0: the server's), rate, ramp_ms, want, share_left, bulk, campaign_rate)
-- -> count, wait_ms, paused
local function take(keys, argv)
    local now, rate, ramp = clock(argv[1]), tonumber(argv[2]), tonumber(argv[3])
    local want, left, bulk, own = tonumber(argv[4]), tonumber(argv[5]), argv[6] == '1', tonumber(argv[7])
    local s = redis.call('HMGET', keys[1], 'tokens', 'at', 'bulk', 'bulk_at', 'since', 'paused')
    local paused = number(s[6])
    if now < paused then return {0, math.min(MOST_WAIT_MS, paused - now), 1} end
    local tokens, at = fill(number(s[1]), number(s[2]), rate, now, LEAST_ROOM)
    local kept = left * math.max(LEAST_ROOM, rate * BURST_S)
    local count = math.min(want, math.max(0, math.floor(tokens - kept)))
    local bulk_tokens, bulk_at, since, bulk_rate = number(s[3]), number(s[4]), number(s[5]), 0
    if bulk then
        if now - bulk_at > IDLE_MS then since, bulk_tokens, bulk_at = now, 0, now end
        bulk_rate = rate * (ramp <= 0 and 1 or math.min(1, (now - since) / ramp))
        bulk_tokens, bulk_at = fill(bulk_tokens, bulk_at, bulk_rate, now)
        count = math.min(count, math.max(0, math.floor(bulk_tokens)))
    end
    local own_tokens, own_at = 0, 0
    if own > 0 then
        local c = redis.call('HMGET', keys[2], 'tokens', 'at')
        own_tokens, own_at = fill(tonumber(c[1] or '1'), tonumber(c[2] or now), own, now)
        count = math.min(count, math.max(0, math.floor(own_tokens)))
    end
    local wait = 0
    if count == 0 then
        wait = wait_ms(tokens, rate, kept)
        if bulk then wait = math.max(wait, wait_ms(bulk_tokens, bulk_rate, 0)) end
        if own > 0 then wait = math.max(wait, wait_ms(own_tokens, own, 0)) end
    end
    local function text(value) return string.format('%.17g', value) end
    redis.call('HSET', keys[1], 'tokens', text(tokens - count), 'at', text(at), 'bulk',
        text(bulk and bulk_tokens - count or bulk_tokens), 'bulk_at', text(bulk_at), 'since', text(since))
    redis.call('PEXPIRE', keys[1], 86400000)
    if own > 0 then
        redis.call('HSET', keys[2], 'tokens', text(own_tokens - count), 'at', text(own_at))
        redis.call('PEXPIRE', keys[2], 3600000)
    end
    return {count, wait, 0}
end

-- pause(KEYS pace; ARGV now_ms, for_ms) -> until_ms : nothing goes until then; an earlier end changes nothing
local function pause(keys, argv)
    local till = math.max(number(redis.call('HGET', keys[1], 'paused')), clock(argv[1]) + tonumber(argv[2]))
    redis.call('HSET', keys[1], 'paused', string.format('%.0f', till))
    redis.call('PEXPIRE', keys[1], 86400000)
    return till
end

redis.register_function('candlemaker_pace_take', take)
redis.register_function('candlemaker_pace_pause', pause)
