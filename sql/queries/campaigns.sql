-- name: insert_campaign$
INSERT INTO campaign (retailer, code, spec, starts_at, ends_at)
VALUES (:retailer, :code, :spec, :starts_at, :ends_at)
RETURNING id;

-- name: insert_budget!
INSERT INTO budget (campaign, retailer, total) VALUES (:campaign, :retailer, :total);

-- name: insert_audit!
INSERT INTO campaign_audit (campaign, retailer, version, verb, caller)
VALUES (:campaign, :retailer, :version, :verb, :caller);

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
SELECT id, state, starts_at, ends_at FROM campaign WHERE id = :id FOR UPDATE;

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
