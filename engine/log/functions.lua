#!lua name=candlemaker

-- append(KEYS log, meta; ARGV bound_bytes, kind, payload[, epoch]) -> entry id
-- Refuses when the log has no epoch yet (its owner has not opened it), when it is not the log the caller means, or
-- when it is at its bound; never trims, for trimming here would drop entries nobody has read. `c` is the running
-- total, so that trimming knows its bytes.
local function append(keys, argv)
    local known = redis.call('HMGET', keys[2], 'epoch', 'total', 'base')
    if not known[1] or (argv[4] and argv[4] ~= known[1]) then
        return redis.error_reply('NOLOG the log has not been opened by its owner')
    end
    local size = #argv[3] + 64
    local total = tonumber(known[2] or '0') + size
    local bound = tonumber(argv[1])
    if bound > 0 and total - tonumber(known[3] or '0') > bound then
        return redis.error_reply('FULL the log is at its bound')
    end
    local id = redis.call('XADD', keys[1], '*', 'k', argv[2], 'v', argv[3], 'c', string.format('%.0f', total))
    redis.call('HSET', keys[2], 'total', string.format('%.0f', total))
    return id
end

-- open(KEYS log, meta, chunks, head; ARGV epoch) : a new, empty log under a new name
local function open(keys, argv)
    redis.call('DEL', keys[1], keys[2], keys[3], keys[4])
    redis.call('HSET', keys[2], 'epoch', argv[1], 'total', '0', 'base', '0')
    return redis.status_reply('OK')
end

-- claim(KEYS head; ARGV owner_epoch) : from now on only this owner (or a later one) may write the checkpoint
local function claim(keys, argv)
    local held = tonumber(redis.call('HGET', keys[1], 'epoch') or '-1')
    if tonumber(argv[1]) < held then
        return redis.error_reply('ZOMBIE a later owner has claimed this partition')
    end
    redis.call('HSET', keys[1], 'epoch', argv[1])
    return redis.status_reply('OK')
end

-- chunk(KEYS head, chunks; ARGV owner_epoch, number, bytes) : one dirty chunk, ahead of the head that names it
local function chunk(keys, argv)
    if redis.call('HGET', keys[1], 'epoch') ~= argv[1] then
        return redis.error_reply('ZOMBIE a later owner has claimed this partition')
    end
    redis.call('HSET', keys[2], argv[2], argv[3])
    return redis.status_reply('OK')
end

-- checkpoint(KEYS head, log, meta; ARGV owner_epoch, position, entry_id, log_epoch, revision, keep_from_id)
-- Moves the head forward and trims what both it and the age bound allow, in one step: a crash leaves either the
-- old head with its entries or the new head without them.
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
redis.register_function('candlemaker_open', open)
redis.register_function('candlemaker_claim', claim)
redis.register_function('candlemaker_chunk', chunk)
redis.register_function('candlemaker_checkpoint', checkpoint)
