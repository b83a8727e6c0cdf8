-- name: lease_due
-- Claim due messages of a channel for one sender, and read in the same statement what the claim rests on: consent, campaign,
-- registration, coupon. SKIP LOCKED: senders never wait for each other.
-- Written so that it looks each row up by its key whatever the planner believes of the tables: what a prepared statement's
-- LIMIT will be is unknown to it, and joining as if it were a tenth of the outbox reads all customers for one message.
WITH leased AS (
    UPDATE message m SET state = 'leased', leased_by = :sender,
        leased_until = candlemaker_now() + :lease_s * interval '1 second',
        first_tried_at = coalesce(first_tried_at, candlemaker_now())
    WHERE m.id = ANY (ARRAY(
        SELECT id FROM message
        WHERE state = 'queued' AND channel = :channel AND not_before <= candlemaker_now()
        ORDER BY not_before LIMIT :most FOR UPDATE SKIP LOCKED
    ))
    RETURNING m.*
)
SELECT l.id, l.decision, l.customer, l.campaign, l.title, l.body, l.attempts, l.ambiguous,
    (extract(epoch FROM l.expires_at) * 1000)::bigint AS expires_ms,
    (extract(epoch FROM l.first_tried_at) * 1000)::bigint AS first_tried_ms,
    c.consents, k.campaign_state, k.stopped, u.coupon, u.coupon_state, u.store,
    d.device, d.registration, d.kind
FROM leased l
CROSS JOIN LATERAL (SELECT consents FROM customer WHERE number = l.customer LIMIT 1) c
CROSS JOIN LATERAL (SELECT state AS campaign_state, stopped FROM campaign WHERE id = l.campaign LIMIT 1) k
CROSS JOIN LATERAL (
    SELECT id AS coupon, state AS coupon_state, store FROM coupon WHERE decision = l.decision LIMIT 1
) u
LEFT JOIN LATERAL (
    SELECT id AS device, registration, kind FROM device
    WHERE customer = l.customer AND state = 'active' ORDER BY registered_at DESC, id DESC LIMIT 1
) d ON l.channel = 'fcm';

-- name: requeue!
-- Messages to be tried again later; only those this sender still holds.
UPDATE message m SET state = 'queued', leased_by = NULL, leased_until = NULL,
    not_before = to_timestamp(g.at_ms / 1000.0), attempts = m.attempts + g.charged::int,
    ambiguous = m.ambiguous OR g.ambiguous
FROM unnest(:id::uuid[], :at_ms::bigint[], :charged::boolean[], :ambiguous::boolean[])
    AS g (id, at_ms, charged, ambiguous)
WHERE m.id = g.id AND m.state = 'leased' AND m.leased_by = :sender;

-- name: settle
-- Messages that ended; only those this sender still holds. Answers their decisions.
UPDATE message m SET state = g.state, reason = g.reason, provider_id = g.provider_id,
    settled_at = candlemaker_now(), leased_by = NULL, leased_until = NULL
FROM unnest(:id::uuid[], :state::text[], :reason::text[], :provider_id::text[])
    AS g (id, state, reason, provider_id)
WHERE m.id = g.id AND m.state = 'leased' AND m.leased_by = :sender
RETURNING m.decision, m.state;

-- name: lock_decisions!
-- Two channels of one decision may end at once; whoever locks second sees what the first wrote.
SELECT FROM decision WHERE id = ANY (:decisions::uuid[]) ORDER BY id FOR UPDATE;

-- name: void_dead_coupons
-- Decisions of which no message went out, or may have: their coupon is void unless it was redeemed, and cap and budget go
-- back (as facts, appended by the caller in the order of p).
WITH dead AS (
    SELECT d.id FROM decision d
    WHERE d.id = ANY (:decisions::uuid[]) AND NOT EXISTS (
        SELECT FROM message m WHERE m.decision = d.id AND m.state NOT IN ('failed', 'expired', 'suppressed'))
), void AS (
    UPDATE coupon SET state = 'void' FROM dead WHERE coupon.decision = dead.id AND coupon.state = 'issued'
    RETURNING coupon.decision
)
SELECT d.id, d.p, d.customer, d.campaign, (extract(epoch FROM d.logged_at) * 1000)::bigint AS logged_ms
FROM decision d JOIN void ON void.decision = d.id ORDER BY d.p, d.id;

-- name: release_abandoned!
-- A sender died with these in its hands: they may have been sent, so the next attempt carries the same display tag and
-- ends as unknown unless it gets a clear answer.
UPDATE message SET state = 'queued', ambiguous = (channel = 'fcm'), leased_by = NULL, leased_until = NULL
WHERE state = 'leased' AND leased_until < candlemaker_now();

-- name: number_inbox
-- Inbox rows, numbered behind what each customer has; the message's key keeps it to one.
WITH given AS (
    SELECT m.id, m.decision, m.customer, m.title, m.body, m.expires_at,
        row_number() OVER (PARTITION BY m.customer ORDER BY m.not_before, m.id) AS nth
    FROM message m WHERE m.id = ANY (:id::uuid[])
), counted AS (
    UPDATE customer c SET inbox_seq = c.inbox_seq + g.n
    FROM (SELECT customer, count(*) AS n FROM given GROUP BY customer) g
    WHERE c.number = g.customer
    RETURNING c.number, c.inbox_seq - g.n AS before
)
INSERT INTO inbox (customer, seq, message, decision, title, body, at, expires_at)
SELECT g.customer, c.before + g.nth, g.id, g.decision, g.title, g.body, candlemaker_now(), g.expires_at
FROM given g JOIN counted c ON c.number = g.customer
ON CONFLICT (message) DO NOTHING
RETURNING customer;

-- name: dead_device!
-- A registration the provider calls dead; spared when it was registered anew since the message was leased.
UPDATE device SET state = :state
WHERE id = :device AND registration = :registration AND state = 'active'
  AND registered_at < to_timestamp(:leased_ms / 1000.0);

-- name: stop_campaign$
-- The payload itself is refused, so every message of the campaign would be: kill it. Answers whether it was alive.
UPDATE campaign SET state = 'ended', stopped = true, version = version + 1, updated_at = candlemaker_now()
WHERE id = :campaign AND state IN ('scheduled', 'live', 'paused')
RETURNING true;

-- name: note_stop!
-- Who stopped it, for the retailer to read.
INSERT INTO campaign_audit (campaign, retailer, version, verb, caller)
SELECT id, retailer, version, 'stop', 'sender' FROM campaign WHERE id = :campaign;

-- name: tell_stop!
-- The stop as a fact of every partition, in the order of p; last statement of the transaction.
SELECT append_fact(p, 'stop', jsonb_build_object('campaign', :campaign::bigint))
FROM (SELECT p FROM partition ORDER BY p) partitions;
