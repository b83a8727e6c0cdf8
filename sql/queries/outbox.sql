-- name: lease_chunks
-- Take due chunks of a lane for one sender. SKIP LOCKED: senders never wait for each other. `cursor` says how far a sender
-- that died may have come. The campaign's own rate comes with it.
WITH due AS (
    SELECT id FROM chunk
    WHERE channel = :channel AND lane = :lane AND leased_by IS NULL AND due_at <= candlemaker_now()
        AND (campaign IS NULL OR campaign <> ALL (:blocked::bigint[]))
    ORDER BY due_at, id LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE chunk c SET leased_by = :sender, leased_until = candlemaker_now() + :lease_s * interval '1 second'
FROM due WHERE c.id = due.id
RETURNING c.day, c.id AS chunk, c.lane, c.size, c.cursor, c.campaign,
    (SELECT (k.spec #>> '{delivery,rate_per_s}')::float8 FROM campaign k WHERE k.id = c.campaign) AS rate_per_s;

-- name: left_behind
-- Places up to the cursor of chunks that a sender left behind, without an outcome: they may have been sent.
SELECT m.chunk, m.seq FROM unnest(:chunks::bigint[], :cursors::smallint[]) AS g (chunk, cursor)
JOIN message m ON m.day = :day AND m.chunk = g.chunk AND m.seq <= g.cursor
WHERE NOT EXISTS (SELECT FROM outcome o WHERE o.day = m.day AND o.chunk = m.chunk AND o.seq = m.seq)
ORDER BY m.chunk, m.seq;

-- name: claim
-- The write-ahead and the claim in one statement: the cursor moves, the lease is renewed, and what each message's sending
-- rests on is read: consent, quiet hours, campaign, coupon, registration. The bytes are written within 250 ms of its start.
-- Each row is looked up by its key whatever the planner believes of the tables (LATERAL … LIMIT 1).
WITH asked AS (
    SELECT * FROM unnest(:chunks::bigint[], :after::smallint[], :upto::smallint[]) AS a (chunk, after, upto)
), held AS (
    UPDATE chunk c SET cursor = greatest(c.cursor, a.upto),
        leased_until = candlemaker_now() + :lease_s * interval '1 second'
    FROM (SELECT chunk, max(upto) AS upto FROM asked GROUP BY chunk) a
    WHERE c.id = a.chunk AND c.leased_by = :sender
    RETURNING c.id, c.lane
)
SELECT m.day, m.chunk, m.seq, m.id, m.decision, m.customer, m.campaign, held.lane, m.title, m.body, m.data,
    (extract(epoch FROM m.expires_at) * 1000)::bigint AS expires_ms, m.attempts, m.ambiguous,
    coalesce((extract(epoch FROM m.first_tried_at) * 1000)::bigint, 0) AS first_tried_ms,
    c.consents, c.zone, c.quiet_from, c.quiet_until, k.campaign_state, k.stopped, u.coupon, u.coupon_state, u.store,
    d.device, d.registration, d.kind, d.platform
FROM held
JOIN asked a ON a.chunk = held.id
JOIN message m ON m.day = :day AND m.chunk = a.chunk AND m.seq > a.after AND m.seq <= a.upto
CROSS JOIN LATERAL (
    SELECT consents, zone, quiet_from, quiet_until FROM customer WHERE number = m.customer LIMIT 1
) c
LEFT JOIN LATERAL (SELECT state AS campaign_state, stopped FROM campaign WHERE id = m.campaign LIMIT 1) k ON true
LEFT JOIN LATERAL (
    SELECT id AS coupon, state AS coupon_state, store FROM coupon WHERE decision = m.decision LIMIT 1
) u ON true
LEFT JOIN LATERAL (
    SELECT id AS device, registration, kind, platform FROM device
    WHERE customer = m.customer AND state = 'active' AND platform <> ALL (:closed::text[])
    ORDER BY registered_at DESC, id DESC LIMIT 1
) d ON m.channel = 'fcm'
ORDER BY m.chunk, m.seq;

-- name: creatives
-- Texts of campaigns whose messages carry none of their own.
SELECT id, spec #>> '{creative,title}' AS title, spec #>> '{creative,body}' AS body
FROM campaign WHERE id = ANY (:campaigns::bigint[]);

-- name: still_held
-- Which of these chunks this sender still holds; whoever takes a chunk over waits for our transaction.
SELECT id FROM chunk WHERE id = ANY (:chunks::bigint[]) AND leased_by = :sender ORDER BY id FOR KEY SHARE;

-- name: add_outcomes
-- Outcomes one by one, where some may be there already; answers the new ones.
INSERT INTO outcome (day, chunk, seq, state, reason, provider_id, attempts, at)
SELECT * FROM unnest(:days::date[], :chunks::bigint[], :seqs::smallint[], :states::text[], :reasons::text[],
    :provider_ids::text[], :attempts::smallint[], :ats::timestamptz[])
ON CONFLICT DO NOTHING
RETURNING chunk, seq;

-- name: requeue!
-- Messages to be tried again, each in a chunk of those due at the same quarter of a second; the day stays, so that all rows
-- of a message go with one partition.
WITH given AS (
    SELECT *, ceil(at_ms / 250.0) AS slot FROM unnest(:days::date[], :chunks::bigint[], :seqs::smallint[], :at_ms::bigint[],
        :attempts::smallint[], :ambiguous::boolean[], :first_ms::bigint[])
        AS g (day, chunk, seq, at_ms, attempts, ambiguous, first_ms)
), placed AS (
    SELECT g.*, c.channel, c.lane, c.campaign,
        (row_number() OVER w - 1) / 1000 AS part, (row_number() OVER w - 1) % 1000 + 1 AS place
    FROM given g JOIN chunk c ON c.id = g.chunk
    WINDOW w AS (PARTITION BY g.day, c.channel, c.lane, c.campaign, g.slot ORDER BY g.chunk, g.seq)
), sized AS (
    SELECT day, channel, lane, campaign, slot, part, count(*) AS size, nextval('chunk_id_seq') AS becomes
    FROM placed GROUP BY day, channel, lane, campaign, slot, part
), chunks AS (
    INSERT INTO chunk (id, day, channel, lane, campaign, size, due_at) OVERRIDING SYSTEM VALUE
    SELECT becomes, day, channel, lane, campaign, size, to_timestamp(slot * 0.25) FROM sized
)
INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, occasion, channel, title, body, data, expires_at,
                     attempts, ambiguous, first_tried_at)
SELECT m.day, s.becomes, p.place, m.id, m.decision, m.customer, m.campaign, m.occasion, m.channel, m.title, m.body, m.data,
       m.expires_at, p.attempts, p.ambiguous, to_timestamp(nullif(p.first_ms, 0) / 1000.0)
FROM placed p JOIN sized s ON (s.day, s.channel, s.lane, s.slot, s.part) = (p.day, p.channel, p.lane, p.slot, p.part)
    AND s.campaign IS NOT DISTINCT FROM p.campaign
JOIN message m ON m.day = p.day AND m.chunk = p.chunk AND m.seq = p.seq;

-- name: finish_chunks!
-- Chunks of which every message has its outcome.
DELETE FROM chunk WHERE id = ANY (:chunks::bigint[]) AND leased_by = :sender;

-- name: release_chunks!
-- Give chunks back before their end: nothing above the cursor was written. They are due when the caller says.
UPDATE chunk c SET leased_by = NULL, leased_until = NULL, cursor = g.cursor,
    due_at = greatest(c.due_at, to_timestamp(g.at_ms / 1000.0))
FROM unnest(:chunks::bigint[], :cursors::smallint[], :at_ms::bigint[]) AS g (chunk, cursor, at_ms)
WHERE c.id = g.chunk AND c.leased_by = :sender;

-- name: renew_leases!
-- The heartbeat of chunks from which nothing was claimed for a while.
UPDATE chunk SET leased_until = candlemaker_now() + :lease_s * interval '1 second'
WHERE id = ANY (:chunks::bigint[]) AND leased_by = :sender;

-- name: release_abandoned$
-- A sender died with these in its hands; how many. The cursor stays: what it passed may have been sent.
WITH dead AS (
    SELECT id FROM chunk WHERE leased_until < candlemaker_now() AND leased_by IS NOT NULL
    ORDER BY id FOR UPDATE SKIP LOCKED
), freed AS (
    UPDATE chunk SET leased_by = NULL, leased_until = NULL FROM dead WHERE chunk.id = dead.id RETURNING 1
)
SELECT count(*) FROM freed;

-- name: next_due_ms$
-- When something is to be done without anybody's wake-up: a chunk comes due, a lease ends.
SELECT (extract(epoch FROM least(
    (SELECT min(due_at) FROM chunk WHERE leased_by IS NULL AND due_at > candlemaker_now()),
    (SELECT min(leased_until) FROM chunk WHERE leased_by IS NOT NULL)
)) * 1000)::bigint;

-- name: lock_decisions!
-- Two channels of one decision may end at once; whoever locks second sees what the first wrote.
SELECT FROM decision WHERE id = ANY (:decisions::uuid[]) ORDER BY id FOR UPDATE;

-- name: void_dead_coupons
-- Decisions of which no message went out, or may have: their coupon is void unless it was redeemed, and cap and budget go
-- back (as facts, appended by the caller in the order of p). A message lies in the partition of its decision's day.
WITH dead AS (
    SELECT d.id FROM decision d
    WHERE d.id = ANY (:decisions::uuid[]) AND NOT EXISTS (
        SELECT FROM message m
        LEFT JOIN outcome o ON o.day = m.day AND o.chunk = m.chunk AND o.seq = m.seq
        WHERE m.decision = d.id AND m.day BETWEEN d.decided_at::date - 1 AND d.decided_at::date + 1
            AND coalesce(o.state, 'queued') NOT IN ('failed', 'expired', 'suppressed', 'requeued'))
), void AS (
    UPDATE coupon SET state = 'void' FROM dead WHERE coupon.decision = dead.id AND coupon.state = 'issued'
    RETURNING coupon.decision
)
SELECT d.id, d.p, d.customer, d.campaign, d.position = 0 AS walked, (extract(epoch FROM d.logged_at) * 1000)::bigint AS logged_ms
FROM decision d JOIN void ON void.decision = d.id ORDER BY d.p, d.id;

-- name: tell_outcomes!
-- One fact a decision that gave back, in the order given, which is the order of p; last statement of the transaction.
SELECT append_fact(p, 'outcome', payload)
FROM (
    SELECT p, payload FROM unnest(:partitions::smallint[], :payloads::jsonb[]) WITH ORDINALITY AS g (p, payload, i)
    ORDER BY i
) ordered;

-- name: lease_inapp
-- Due chunks of in-app messages, for as long as the caller's transaction lasts.
SELECT id, day, size FROM chunk
WHERE channel = 'inapp' AND leased_by IS NULL AND due_at <= candlemaker_now()
ORDER BY due_at, id LIMIT :most FOR UPDATE SKIP LOCKED;

-- name: read_inapp
-- The messages of chunks that the caller's transaction holds, and what each one's showing rests on.
SELECT m.day, m.chunk, m.seq, m.id, m.decision, m.customer, m.campaign, 'triggered' AS lane, m.title, m.body, m.data,
    (extract(epoch FROM m.expires_at) * 1000)::bigint AS expires_ms, m.attempts, m.ambiguous, 0::bigint AS first_tried_ms,
    c.consents, c.zone, c.quiet_from, c.quiet_until, k.state AS campaign_state, k.stopped, u.id AS coupon,
    u.state AS coupon_state, u.store, NULL::bigint AS device, NULL::text AS registration, NULL::text AS kind,
    NULL::text AS platform
FROM unnest(:chunks::bigint[]) AS g (chunk)
JOIN message m ON m.day = :day AND m.chunk = g.chunk
JOIN customer c ON c.number = m.customer
LEFT JOIN campaign k ON k.id = m.campaign
LEFT JOIN coupon u ON u.decision = m.decision
ORDER BY m.chunk, m.seq;

-- name: drop_inapp_chunks!
-- Every message of these has its outcome in this very transaction.
DELETE FROM chunk WHERE id = ANY (:chunks::bigint[]);

-- name: number_inbox
-- Inbox rows, numbered behind what each customer has; the message's key keeps it to one.
WITH given AS (
    SELECT g.*, row_number() OVER (PARTITION BY g.customer ORDER BY g.i) AS nth
    FROM unnest(:ids::uuid[], :decisions::uuid[], :customers::bigint[], :titles::text[], :bodies::text[],
        :expires_ms::bigint[]) WITH ORDINALITY AS g (id, decision, customer, title, body, expires_ms, i)
), counted AS (
    UPDATE customer c SET inbox_seq = c.inbox_seq + g.n
    FROM (SELECT customer, count(*) AS n FROM given GROUP BY customer ORDER BY customer) g
    WHERE c.number = g.customer
    RETURNING c.number, c.inbox_seq - g.n AS before
)
INSERT INTO inbox (customer, seq, message, decision, title, body, at, expires_at)
SELECT g.customer, c.before + g.nth, g.id, g.decision, g.title, g.body, candlemaker_now(),
       to_timestamp(g.expires_ms / 1000.0)
FROM given g JOIN counted c ON c.number = g.customer
ON CONFLICT (message) DO NOTHING
RETURNING customer;

-- name: dead_devices!
-- Registrations the provider calls dead; spared when registered anew since the message was claimed.
UPDATE device SET state = g.state, state_at = candlemaker_now()
FROM unnest(:devices::bigint[], :registrations::text[], :states::text[], :claimed_ms::bigint[])
    AS g (device, registration, state, claimed_ms)
WHERE device.id = g.device AND device.registration = g.registration AND device.state = 'active'
  AND device.registered_at < to_timestamp(g.claimed_ms / 1000.0);

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

-- name: ensure_days$
-- Partitions of today and the two days after.
SELECT outbox_days(candlemaker_now()::date, candlemaker_now()::date + 2);

-- name: queue_transactional!
-- One push that a person waits for.
WITH made AS (
    INSERT INTO chunk (day, channel, lane, size, due_at)
    VALUES (candlemaker_now()::date, 'fcm', 'transactional', 1, candlemaker_now()) RETURNING id, day
)
INSERT INTO message (day, chunk, seq, id, customer, channel, title, body, data, expires_at)
SELECT day, id, 1, :id, :customer, 'fcm', :title, :body, :data::jsonb, candlemaker_now() + :valid_for_s * interval '1 second'
FROM made;

-- name: dead_letters
-- Messages that ended without being shown for sure, newest first: why, and whether they can be sent again. `replayable`: the
-- offer runs, and the coupon was not taken back.
SELECT o.at, m.id, o.state, o.reason, o.attempts, m.customer, m.campaign, m.channel,
    m.expires_at > candlemaker_now() AND (m.decision IS NULL OR u.state = 'issued') AS replayable
FROM outcome o
JOIN message m ON m.day = o.day AND m.chunk = o.chunk AND m.seq = o.seq
LEFT JOIN coupon u ON u.decision = m.decision
WHERE o.state IN ('failed', 'unknown') AND m.channel = 'fcm'
    AND o.day >= (candlemaker_now() - :hours * interval '1 hour')::date AND o.at >= candlemaker_now() - :hours * interval '1 hour'
    AND (:reason::text IS NULL OR o.reason = :reason::text)
    AND (:campaign::bigint IS NULL OR m.campaign = :campaign::bigint)
ORDER BY o.at DESC, m.id LIMIT :most;

-- name: replay
-- Put dead letters into the outbox again, under their own ids and with all attempts before them; what may have been shown
-- stays so. Those whose offer is over or whose coupon was taken back are left, and so is what waits again already.
WITH given AS (
    SELECT m.*, o.state, row_number() OVER (PARTITION BY m.day, m.decision IS NULL ORDER BY m.id) AS n
    FROM message m
    JOIN outcome o ON o.day = m.day AND o.chunk = m.chunk AND o.seq = m.seq
    LEFT JOIN coupon u ON u.decision = m.decision
    WHERE m.id = ANY (:ids::uuid[]) AND o.state IN ('failed', 'unknown') AND m.channel = 'fcm'
        AND m.expires_at > candlemaker_now() AND (m.decision IS NULL OR u.state = 'issued')
        AND o.day >= (candlemaker_now() - interval '90 days')::date
), marked AS (
    -- The former end becomes one more attempt that is tried again.
    UPDATE outcome o SET state = 'requeued', reason = 'replayed: ' || o.reason
    FROM given g WHERE o.day = g.day AND o.chunk = g.chunk AND o.seq = g.seq AND o.state = g.state
    RETURNING g.id
), live AS (
    SELECT g.*, (g.n - 1) / 1000 AS part, (g.n - 1) % 1000 + 1 AS place FROM given g JOIN marked USING (id)
), sized AS (
    SELECT day, decision IS NULL AS plain, part, max(place) AS size, nextval('chunk_id_seq') AS becomes
    FROM live GROUP BY day, decision IS NULL, part
), chunks AS (
    INSERT INTO chunk (id, day, channel, lane, size, due_at) OVERRIDING SYSTEM VALUE
    SELECT becomes, day, 'fcm', CASE WHEN plain THEN 'transactional' ELSE 'triggered' END, size, candlemaker_now() FROM sized
)
INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, occasion, channel, title, body, data, expires_at,
                     attempts, ambiguous)
SELECT l.day, s.becomes, l.place, l.id, l.decision, l.customer, l.campaign, l.occasion, l.channel, l.title, l.body, l.data,
       l.expires_at, 0, l.ambiguous OR l.state = 'unknown'
FROM live l JOIN sized s ON s.day = l.day AND s.part = l.part AND s.plain = (l.decision IS NULL)
RETURNING id;
