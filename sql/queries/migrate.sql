-- name: lock(key)$
-- One migrating process a database at a time, whatever its machine; held by the session.
SELECT pg_advisory_lock(:key);

-- name: unlock(key)$
-- Let the next one look; it will find nothing to do.
SELECT pg_advisory_unlock(:key);

-- name: make_roles#
-- Our two roles, and the right to act as them for whoever migrates. Roles belong to the whole server, so the
-- migration of another database may make them at the same moment. Since PostgreSQL 16 the maker of a role is its
-- member without the right to SET ROLE, hence the question by version; it is asked before granting because a user
-- who may act as a role need not be allowed to grant it.
DO $$
DECLARE
    wanted text;
    acting text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['candlemaker_engine', 'candlemaker_tenant'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
        IF NOT pg_has_role(current_user, wanted, acting) THEN
            EXECUTE format('GRANT %I TO current_user', wanted);
        END IF;
    END LOOP;
END $$;

-- name: make_table#
-- What was applied, with the digest of its text.
CREATE TABLE IF NOT EXISTS schema_migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: is_new()$
-- Whether this database never saw a migration.
SELECT to_regclass('schema_migration') IS NULL;

-- name: applied()
-- Applied migrations by number.
SELECT number, name, sha256 FROM schema_migration ORDER BY number;

-- name: record(number, name, sha256)!
-- In the migration's own transaction.
INSERT INTO schema_migration (number, name, sha256) VALUES (:number, :name, :sha256);

-- name: partitioning()
-- How this database counts customers into partitions.
SELECT name, value FROM meta WHERE name IN ('partitions', 'partition_hash');
