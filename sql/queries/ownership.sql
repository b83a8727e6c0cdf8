-- name: try_lock$
-- Session lock: it only chooses who tries to own the partition, the epoch proves who does.
SELECT pg_try_advisory_lock(hashtext('candlemaker.partition'), :p);

-- name: unlock$
-- Give a partition to whoever tries next.
SELECT pg_advisory_unlock(hashtext('candlemaker.partition'), :p);

-- name: alive$
-- Keeps the owner's session from the idle timeout, and tells it when the session is gone.
SELECT 1;

-- name: matchers$
-- Owner sessions there are: each holds this lock in shared mode, so the lock table counts them.
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND mode = 'ShareLock'
  AND classid = hashtext('candlemaker.matcher')::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- name: enrol$
-- Be counted as a matcher for as long as this session lives.
SELECT pg_advisory_lock_shared(hashtext('candlemaker.matcher'), 0);
