-- name: take_changes$
-- Whether anything changed since the last compile; taken in the compile's own transaction, whose snapshot also reads the
-- catalogue, so a change not yet visible leaves its row for the next time.
WITH taken AS (DELETE FROM catalogue_change RETURNING 1) SELECT count(*) FROM taken;

-- name: only_one_compiles$
-- Transaction-scoped lock: of several matchers one compiles.
SELECT pg_try_advisory_xact_lock(hashtext('candlemaker.compile'));

-- name: take_time!
-- The compile works outside the database while its transaction waits, for longer than other transactions may.
SET LOCAL idle_in_transaction_session_timeout = '10min';

-- name: latest^
-- The snapshot to run.
SELECT revision, manifest, built_at FROM snapshot ORDER BY revision DESC LIMIT 1;

-- name: by_revision^
-- The snapshot a checkpoint was taken under.
SELECT revision, manifest, built_at FROM snapshot WHERE revision = :revision;

-- name: publish$
-- A new snapshot; its files are already in place.
INSERT INTO snapshot (manifest) VALUES (:manifest::jsonb) RETURNING revision;

-- name: live_stores
-- Stores that a live campaign may name.
SELECT id, retailer, code, lat, lng, zone, country, opening_hours FROM store WHERE NOT closed ORDER BY id;

-- name: products
-- What purchases are matched against.
SELECT id, retailer, code, brand, category FROM product ORDER BY id;

-- name: live_campaigns
-- Campaigns in state live; those with trigger start go to their audience without being matched.
SELECT id, retailer, spec FROM campaign WHERE state = 'live' AND spec ->> 'trigger' <> 'start' ORDER BY id;

-- name: any_due$
-- Asked first: an UPDATE of no row would still be a changing statement to the compiler.
SELECT EXISTS (SELECT FROM campaign WHERE state = 'scheduled' AND starts_at <= candlemaker_now()
               OR state IN ('scheduled', 'live', 'paused') AND ends_at <= candlemaker_now());

-- name: start_due!
-- Scheduled campaigns whose time has come.
UPDATE campaign SET state = 'live', version = version + 1, updated_at = candlemaker_now()
WHERE state = 'scheduled' AND starts_at <= candlemaker_now();

-- name: end_due!
-- Campaigns whose time is over.
UPDATE campaign SET state = 'ended', version = version + 1, updated_at = candlemaker_now()
WHERE state IN ('scheduled', 'live', 'paused') AND ends_at <= candlemaker_now();

-- name: manifests
-- Files that are still named.
SELECT manifest FROM snapshot;

-- name: forget_old
-- Snapshots older than a day of which a newer one exists; their files may go.
DELETE FROM snapshot
WHERE built_at < candlemaker_now() - interval '1 day' AND revision < (SELECT max(revision) FROM snapshot)
RETURNING manifest;
