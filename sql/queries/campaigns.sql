-- name: insert_campaign$
INSERT INTO campaign (retailer, code, spec, starts_at, ends_at)
VALUES (:retailer, :code, :spec, :starts_at, :ends_at)
RETURNING id;

-- name: insert_budget!
INSERT INTO budget (campaign, retailer, total) VALUES (:campaign, :retailer, :total);

-- name: insert_audit!
INSERT INTO campaign_audit (campaign, retailer, version, verb, caller, spec)
VALUES (:campaign, :retailer, :version, :verb, :caller, :spec);

-- name: edit_campaign$
UPDATE campaign SET spec = :spec, starts_at = :starts_at, ends_at = :ends_at, version = version + 1,
    updated_at = candlemaker_now()
WHERE id = :id
RETURNING version;

-- name: resize_budget!
-- The constraint refuses less than what is handed out.
UPDATE budget SET total = :total WHERE campaign = :campaign AND total <> :total;

-- name: list_versions
SELECT version, verb, caller, at, spec FROM campaign_audit WHERE campaign = :campaign ORDER BY version;

-- name: find_named^
-- Which of these areas, and of these folded tags and cities, the retailer has.
SELECT ARRAY(SELECT code FROM area WHERE retailer = :retailer AND NOT ended AND code = ANY (:areas::text[])) AS areas,
    ARRAY(SELECT DISTINCT folded FROM store CROSS JOIN LATERAL unnest(tags) AS tag
          CROSS JOIN LATERAL (SELECT lower(btrim(regexp_replace(tag, '\s+', ' ', 'g'))) AS folded) f
          WHERE retailer = :retailer AND NOT closed AND folded = ANY (:tags::text[])) AS tags,
    ARRAY(SELECT DISTINCT folded FROM store
          CROSS JOIN LATERAL (SELECT lower(btrim(regexp_replace(city, '\s+', ' ', 'g'))) AS folded) f
          WHERE retailer = :retailer AND NOT closed AND folded = ANY (:cities::text[])) AS cities;

-- name: list_campaigns
-- Row-level security narrows it to one retailer.
SELECT c.id, c.code, c.state, c.stopped, c.version, c.starts_at, c.ends_at, b.total, b.leased
FROM campaign c JOIN budget b ON b.campaign = c.id
WHERE c.id > :after ORDER BY c.id LIMIT :most;

-- name: get_campaign^
SELECT c.id, c.code, c.state, c.stopped, c.version, c.starts_at, c.ends_at, c.spec, b.total, b.leased
FROM campaign c JOIN budget b ON b.campaign = c.id
WHERE c.id = :id;

-- name: lock_campaign^
-- Two verbs at once are judged one after the other.
SELECT c.id, c.code, c.state, c.version, c.starts_at, c.ends_at, b.total,
    coalesce((c.spec ->> 'own_codes')::boolean, false) AS own_codes,
    (SELECT count(*) FROM coupon_code k WHERE k.campaign = c.id) AS codes
FROM campaign c JOIN budget b ON b.campaign = c.id WHERE c.id = :id FOR UPDATE OF c;

-- name: move_campaign$
-- The trigger holds the move against the state table once more.
UPDATE campaign SET state = :state, stopped = stopped OR :stopped, version = version + 1,
    updated_at = candlemaker_now()
WHERE id = :id
RETURNING version;

-- name: append_stops!
-- A stop is a fact of every partition, appended in the order of p (the counters' locks).
SELECT append_fact(p, 'stop', :payload::jsonb) FROM (SELECT p FROM fact_counter ORDER BY p) ordered;

-- name: count_spent
SELECT campaign, sum(spent)::bigint AS spent FROM budget_block
WHERE campaign = ANY(:campaigns::bigint[]) GROUP BY campaign;
