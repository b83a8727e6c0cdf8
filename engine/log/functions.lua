#!lua name=candlemaker

-- One entry into one log; answers its id, or why not ('NOLOG …', 'FULL …').
-- Refuses when the log has no epoch yet (its owner has not opened it), when it is not the log the caller means, or
-- when it is at its bound; never trims, for trimming here would drop entries nobody has read. `c` is the running
-- total, so that trimming knows its bytes.
local function append_one(log, meta, bound, kind, payload, epoch)
    local known = redis.call('HMGET', meta, 'epoch', 'total', 'base')
    if not known[1] or (epoch and epoch ~= known[1]) then
        return nil, 'NOLOG the log has not been opened by its owner'
    end
    local total = tonumber(known[2] or '0') + #payload + 64
    if bound > 0 and total - tonumber(known[3] or '0') > bound then
        return nil, 'FULL the log is at its bound'
    end
    local text = string.format('%.0f', total)
    local id = redis.call('XADD', log, '*', 'k', kind, 'v', payload, 'c', text)
    redis.call('HSET', meta, 'total', text)
    return id, nil
end

-- append(KEYS log, meta; ARGV bound_bytes, kind, payload[, epoch]) -> entry id
local function append(keys, argv)
    local id, why = append_one(keys[1], keys[2], tonumber(argv[1]), argv[2], argv[3], argv[4])
    return id or redis.error_reply(why)
end

-- append_all(KEYS log, meta, log, meta, …; ARGV bound_bytes, kind, payload, kind, payload, …) -> place, why, …
-- A group of the API's entries in one call: a command and an answer cost the caller more than the append itself. Every
-- entry is tried; what was refused is answered by its place (from 0) and in words.
local function append_all(keys, argv)
    local bound, refused = tonumber(argv[1]), {}
    for n = 1, #keys / 2 do
        local _, why = append_one(keys[2 * n - 1], keys[2 * n], bound, argv[2 * n], argv[2 * n + 1])
        if why then
            refused[#refused + 1] = n - 1
            refused[#refused + 1] = why
        end
    end
    return refused
end

-- tell(KEYS stream; ARGV bound_bytes, payload, …) : transitions for who subscribes; the oldest make room.
-- `c` is the running total of bytes: an entry whose total does not follow the last one read has lost what was between.
local function tell(keys, argv)
    local newest = redis.call('XREVRANGE', keys[1], '+', '-', 'COUNT', 1)
    local total = newest[1] and tonumber(newest[1][2][4]) or 0
    for n = 2, #argv do
        total = total + #argv[n] + 64
        redis.call('XADD', keys[1], '*', 'v', argv[n], 'c', string.format('%.0f', total))
    end
    while true do
        local oldest = redis.call('XRANGE', keys[1], '-', '+', 'COUNT', 1)[1][2]
        local held = total - tonumber(oldest[4]) + #oldest[2] + 64
        local entries = redis.call('XLEN', keys[1])
        if held <= tonumber(argv[1]) or entries == 1 then
            return redis.status_reply('OK')
        end
        redis.call('XTRIM', keys[1], 'MAXLEN', entries - 1)
    end
end

local function claimed_later(head, owner_epoch)
    return tonumber(owner_epoch) < tonumber(redis.call('HGET', head, 'epoch') or '-1')
end

-- open(KEYS head, log, meta, chunks, staged; ARGV owner_epoch, log_epoch) : a new, empty log under a new name
local function open(keys, argv)
    if claimed_later(keys[1], argv[1]) then
        return redis.error_reply('ZOMBIE a later owner has claimed this partition')
    end
    redis.call('DEL', unpack(keys))
    redis.call('HSET', keys[1], 'epoch', argv[1])
    redis.call('HSET', keys[3], 'epoch', argv[2], 'total', '0', 'base', '0')
    return redis.status_reply('OK')
end

-- claim(KEYS head, staged; ARGV owner_epoch) : from now on only this owner (or a later one) may write the checkpoint
local function claim(keys, argv)
    if claimed_later(keys[1], argv[1]) then
        return redis.error_reply('ZOMBIE a later owner has claimed this partition')
    end
    redis.call('HSET', keys[1], 'epoch', argv[1])
    redis.call('DEL', keys[2])
    return redis.status_reply('OK')
end

-- chunk(KEYS head, staged; ARGV owner_epoch, number, bytes) : one dirty chunk, put aside until the head names it
local function chunk(keys, argv)
    if redis.call('HGET', keys[1], 'epoch') ~= argv[1] then
        return redis.error_reply('ZOMBIE a later owner has claimed this partition')
    end
    redis.call('HSET', keys[2], argv[2], argv[3])
    return redis.status_reply('OK')
end

-- checkpoint(KEYS head, log, meta, chunks, staged; ARGV owner_epoch, position, trim_below_id, log_epoch, revision)
-- Takes the chunks put aside, moves the head forward and trims the log up to it, in one step: a crash leaves either the
-- old head with its chunks and entries, or the new head with its own.
local function checkpoint(keys, argv)
    local head = redis.call('HMGET', keys[1], 'epoch', 'position')
    if head[1] ~= argv[1] then
        return redis.error_reply('ZOMBIE a later owner has claimed this partition')
    end
    -- Positions exceed 2^53, where Lua's numbers stop being exact: compare as text of one width.
    local function wide(text) return string.rep('0', 20 - #text) .. text end
    if head[2] and wide(argv[2]) < wide(head[2]) then
        return redis.error_reply('ZOMBIE the checkpoint is already further')
    end
    local staged = redis.call('HGETALL', keys[5])
    for n = 1, #staged, 2 do
        redis.call('HSET', keys[4], staged[n], staged[n + 1])
    end
    redis.call('DEL', keys[5])
    redis.call('HSET', keys[1], 'position', argv[2], 'log_epoch', argv[4], 'revision', argv[5])
    redis.call('XTRIM', keys[2], 'MINID', argv[3])
    local first = redis.call('XRANGE', keys[2], '-', '+', 'COUNT', 1)
    local base
    if first[1] then
        local fields = first[1][2]
        base = tonumber(fields[6]) - #fields[4] - 64
    else
        base = tonumber(redis.call('HGET', keys[3], 'total') or '0')
    end
    -- `kept` says from where on the log is whole: the server's own max-deleted-entry-id does not count trims.
    redis.call('HSET', keys[3], 'base', string.format('%.0f', base), 'kept', argv[3])
    return redis.status_reply('OK')
end

redis.register_function('candlemaker_append', append)
redis.register_function('candlemaker_append_all', append_all)
redis.register_function('candlemaker_tell', tell)
redis.register_function('candlemaker_open', open)
redis.register_function('candlemaker_claim', claim)
redis.register_function('candlemaker_chunk', chunk)
redis.register_function('candlemaker_checkpoint', checkpoint)
