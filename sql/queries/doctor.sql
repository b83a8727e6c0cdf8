-- name: version()$
-- As the server prints it.
SHOW server_version;

-- name: acting(role)$
-- 'missing', 'forbidden' or 'ok': whether this session's user may act as a role (see make_roles for the version).
SELECT CASE
    WHEN to_regrole(:role) IS NULL THEN 'missing'
    WHEN pg_has_role(current_user, to_regrole(:role)::oid,
        CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN 'ok'
    ELSE 'forbidden'
END;

-- name: clock_ms()$
-- The server's own clock, without the engine's offset.
SELECT extract(epoch FROM clock_timestamp()) * 1000;

-- name: is_migrated()$
-- Whether the first migration was applied.
SELECT to_regclass('partition') IS NOT NULL;

-- name: partitions()
-- Each partition and the log it knows.
SELECT p, log_epoch FROM partition ORDER BY p;

-- name: owned()$
-- Partitions whose lock an owner holds (the lock of ownership.sql).
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND classid = hashtext('candlemaker.partition')::oid
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
