-- name: any_changes$
-- Asked first, for it costs nothing.
SELECT EXISTS (SELECT FROM catalogue_change);

-- name: take_changes^
-- What changed since the last compile; taken in the compile's own transaction, whose snapshot also reads the catalogue,
-- so a change not yet visible leaves its row for the next time. `only`: the campaigns, those that name a changed area among
-- them; NULL when more than those changed.
WITH taken AS (DELETE FROM catalogue_change RETURNING campaigns, areas), named AS (
    SELECT id FROM taken CROSS JOIN LATERAL unnest(campaigns) AS id
    UNION
    SELECT c.id FROM taken CROSS JOIN LATERAL jsonb_to_recordset(areas) AS a(retailer bigint, code text)
    JOIN campaign c ON c.spec -> 'drawn' <> '[]' AND c.spec -> 'drawn' ? a.code AND c.retailer = a.retailer
    WHERE c.state = 'live'
)
SELECT count(*) AS n, CASE WHEN bool_and(campaigns IS NOT NULL) THEN ARRAY(SELECT id FROM named) END AS only FROM taken;

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
SELECT id, retailer, code, lat, lng, zone, country, opening_hours, city, tags FROM store WHERE NOT closed ORDER BY id;

-- name: areas
-- Fences that campaigns may name.
SELECT retailer, code, store, geometry FROM area WHERE NOT ended ORDER BY id;

-- name: areas_named
-- Of these alone, a retailer and a code each.
SELECT retailer, code, store, geometry FROM area
WHERE NOT ended AND (retailer, code) IN (SELECT * FROM unnest(:retailers::bigint[], :codes::text[]))
ORDER BY id;

-- name: products
-- What purchases are matched against.
SELECT id, retailer, code, brand, category FROM product ORDER BY id;

-- name: live_campaigns
-- Campaigns in state live; those that walk go to their audience without being matched.
SELECT c.id, c.retailer, c.spec::text AS spec, b.first FROM campaign c JOIN budget b ON b.campaign = c.id
WHERE c.state = 'live' AND NOT candlemaker_walks(c.spec) ORDER BY c.id;

-- name: campaigns_now
-- Of these campaigns those that are live and matched.
SELECT c.id, c.retailer, c.spec::text AS spec, b.first FROM campaign c JOIN budget b ON b.campaign = c.id
WHERE c.state = 'live' AND NOT candlemaker_walks(c.spec) AND c.id = ANY (:campaigns::bigint[]) ORDER BY c.id;

-- name: any_due$
-- Asked first: an UPDATE of no row would still be a changing statement to the compiler.
SELECT EXISTS (SELECT FROM campaign WHERE state = 'scheduled' AND starts_at <= candlemaker_now())
    OR EXISTS (SELECT FROM campaign WHERE state IN ('scheduled', 'live', 'paused') AND ends_at <= candlemaker_now());

-- name: start_due!
-- Scheduled campaigns whose time has come.
WITH moved AS (
    UPDATE campaign SET state = 'live', version = version + 1, updated_at = candlemaker_now()
    WHERE state = 'scheduled' AND starts_at <= candlemaker_now()
    RETURNING id, retailer, version
)
INSERT INTO campaign_audit (campaign, retailer, version, verb, caller)
SELECT id, retailer, version, 'activate', 'clock' FROM moved;

-- name: end_due!
-- Campaigns whose time is over.
WITH moved AS (
    UPDATE campaign SET state = 'ended', version = version + 1, updated_at = candlemaker_now()
    WHERE state IN ('scheduled', 'live', 'paused') AND ends_at <= candlemaker_now()
    RETURNING id, retailer, version
)
INSERT INTO campaign_audit (campaign, retailer, version, verb, caller)
SELECT id, retailer, version, 'end', 'clock' FROM moved;

-- name: manifests
-- Files that are still named.
SELECT manifest FROM snapshot;

-- name: forget_old
-- Snapshots older than a day of which a newer one exists; their files may go.
DELETE FROM snapshot
WHERE built_at < candlemaker_now() - interval '1 day' AND revision < (SELECT max(revision) FROM snapshot)
RETURNING manifest;
