-- name: unplanned
-- Campaigns that walk, are live and have no walk yet.
SELECT k.id, k.spec, k.starts_at, k.ends_at FROM campaign k
WHERE k.state = 'live' AND candlemaker_walks(k.spec) AND NOT EXISTS (SELECT FROM walk WHERE campaign = k.id);

-- name: only_one_plans$
-- Transaction-scoped lock: of several senders one plans.
SELECT pg_try_advisory_xact_lock(hashtext('candlemaker.walk'));

-- name: zones
-- Every time zone that somebody has, found by leaping through the index; whoever has none is not reached by their own hour.
WITH RECURSIVE leap AS (
    (SELECT zone FROM customer WHERE zone IS NOT NULL ORDER BY zone LIMIT 1)
    UNION ALL
    SELECT (SELECT c.zone FROM customer c WHERE c.zone > leap.zone ORDER BY c.zone LIMIT 1) FROM leap WHERE leap.zone IS NOT NULL
)
SELECT zone FROM leap WHERE zone IS NOT NULL;

-- name: plan!
-- The parts of a walk.
INSERT INTO walk (campaign, part, p, zone, due_at)
SELECT :campaign, part, p, zone, to_timestamp(due_ms / 1000.0)
FROM unnest(:parts::smallint[], :ps::smallint[], :zones::text[], :due_ms::bigint[]) AS g (part, p, zone, due_ms)
ON CONFLICT DO NOTHING;

-- name: next_part^
-- A part that is due, for as long as the caller's transaction lasts; SKIP LOCKED: walkers never wait for each other.
SELECT w.campaign, w.part, w.p, w.zone, w.after, k.retailer, k.spec, k.ends_at, b.total - b.leased AS unleased
FROM walk w JOIN campaign k ON k.id = w.campaign JOIN budget b ON b.campaign = w.campaign
WHERE w.done_at IS NULL AND w.due_at <= candlemaker_now() AND k.state = 'live'
    AND w.campaign <> ALL (:full::bigint[])
ORDER BY w.due_at, w.campaign, w.part LIMIT 1 FOR UPDATE OF w SKIP LOCKED;

-- name: next_due_ms$
-- When the next part comes due.
SELECT (extract(epoch FROM min(w.due_at)) * 1000)::bigint FROM walk w JOIN campaign k ON k.id = w.campaign
WHERE w.done_at IS NULL AND k.state = 'live' AND w.due_at > candlemaker_now();

-- name: backlog
-- Campaigns that have issued far enough ahead of the sending: chunks that nobody has taken yet.
SELECT campaign FROM chunk WHERE channel = 'fcm' AND lane = 'bulk' AND leased_by IS NULL AND campaign IS NOT NULL
    AND due_at <= candlemaker_now()
GROUP BY campaign HAVING count(*) >= :most;

-- name: first_store$
-- The store that stands on a start campaign's coupons: the first of those it names by code, tag or city, or of all.
SELECT min(id) FROM store
WHERE retailer = :retailer AND NOT closed AND (:everywhere OR code = ANY (:codes::text[])
    OR lower(city) IN (SELECT lower(named) FROM unnest(:cities::text[]) named)
    OR EXISTS (SELECT FROM unnest(tags) tag JOIN unnest(:tags::text[]) named ON lower(tag) = lower(named)));

-- name: block_left$
-- What these partitions' blocks have left: what was given back, and what a block without a row has set aside.
SELECT coalesce(sum(coalesce(b.granted - b.spent, u.first)), 0)::bigint
FROM budget u CROSS JOIN partition q LEFT JOIN budget_block b ON b.campaign = u.campaign AND b.p = q.p
WHERE u.campaign = :campaign AND (:p::smallint IS NULL OR q.p = :p::smallint);

-- name: recipients_of_partition
-- The next customers of a partition who may be reached at all: by a phone that is registered, or in the app.
SELECT c.number, c.p, c.consents FROM customer c
WHERE c.p = :p AND c.number > :after
    AND (c.consents & 8 <> 0 OR c.consents & 4 <> 0 AND EXISTS (
        SELECT FROM device d WHERE d.customer = c.number AND d.state = 'active'))
    AND (NOT :bought OR c.consents & 2 <> 0 AND EXISTS (
        SELECT FROM purchase u JOIN purchase_line l ON l.purchase = u.id
        WHERE u.customer = c.number AND u.at >= to_timestamp(:since_ms::bigint / 1000.0)
            AND (l.product = ANY (:own::bigint[]) OR c.consents & 16 <> 0 AND l.product = ANY (:others::bigint[]))))
ORDER BY c.number LIMIT :most;

-- name: recipients_of_zone
-- The same of a time zone.
SELECT c.number, c.p, c.consents FROM customer c
WHERE c.zone = :zone AND c.number > :after
    AND (c.consents & 8 <> 0 OR c.consents & 4 <> 0 AND EXISTS (
        SELECT FROM device d WHERE d.customer = c.number AND d.state = 'active'))
    AND (NOT :bought OR c.consents & 2 <> 0 AND EXISTS (
        SELECT FROM purchase u JOIN purchase_line l ON l.purchase = u.id
        WHERE u.customer = c.number AND u.at >= to_timestamp(:since_ms::bigint / 1000.0)
            AND (l.product = ANY (:own::bigint[]) OR c.consents & 16 <> 0 AND l.product = ANY (:others::bigint[]))))
ORDER BY c.number LIMIT :most;

-- name: issue
-- A decision, a coupon, a debit and the messages of each recipient; answers how many were new, by partition. Position 0:
-- no log entry was decided. Texts are the campaign's, so they are not written a million times.
WITH now AS MATERIALIZED (SELECT clock.at FROM candlemaker_now() AS clock (at)), given AS (
    SELECT * FROM unnest(:numbers::bigint[], :partitions::smallint[], :consents::integer[], :decisions::uuid[],
        :coupons::uuid[], :code_hashes::bytea[], :pushes::uuid[], :inapps::uuid[])
        AS g (number, p, consents, decision, coupon, code_hash, push, inapp)
), fresh AS (
    INSERT INTO decision (id, p, position, customer, trigger, occasion, campaign, retailer, store, cell, event_at, logged_at,
                          decided_at, terms, held)
    SELECT decision, p, 0, number, 'start', :occasion, :campaign, :retailer, s.id, s.cell, now.at, now.at, now.at, '{}', '[]'
    FROM given, (SELECT id, cell FROM store WHERE id = :store) s, now
    ON CONFLICT DO NOTHING
    RETURNING id
), kept AS MATERIALIZED (
    SELECT given.* FROM given JOIN fresh ON fresh.id = given.decision
), coupons AS (
    INSERT INTO coupon (id, decision, retailer, campaign, store, customer, code_hash, offer, issued_at, valid_until)
    SELECT coupon, decision, :retailer, :campaign, :store, number, code_hash, :offer::jsonb, (SELECT at FROM now),
           to_timestamp(:valid_ms::bigint / 1000.0)
    FROM kept
), debits AS (
    INSERT INTO budget_ledger (campaign, p, decision, kind, at)
    SELECT :campaign, p, decision, 'debit', (SELECT at FROM now) FROM kept
), numbered AS (
    SELECT channel.id AS message, kept.decision, kept.number, channel.name AS channel,
        row_number() OVER (PARTITION BY channel.name ORDER BY kept.number) AS seq
    FROM kept CROSS JOIN LATERAL (VALUES (push, 'fcm', 4), (inapp, 'inapp', 8)) AS channel (id, name, bit)
    WHERE consents & channel.bit <> 0
), sized AS (
    SELECT channel, count(*) AS size, nextval('chunk_id_seq') AS chunk FROM numbered GROUP BY channel
), chunks AS (
    INSERT INTO chunk (id, day, channel, lane, campaign, size, due_at) OVERRIDING SYSTEM VALUE
    SELECT chunk, (SELECT at::date FROM now), channel, 'bulk', :campaign, size, (SELECT at FROM now) FROM sized
), messages AS (
    INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, occasion, channel, expires_at)
    SELECT (SELECT at::date FROM now), s.chunk, n.seq, n.message, n.decision, n.number, :campaign, :occasion, n.channel,
           to_timestamp(:valid_ms::bigint / 1000.0)
    FROM numbered n JOIN sized s USING (channel)
)
SELECT p, count(*)::integer AS n FROM kept GROUP BY p ORDER BY p;

-- name: spend!
-- The books of what was issued: what a block has left is spent first, the rest is leased. One of the last statements of the
-- transaction, for every walker of the campaign waits for this row.
WITH given AS (
    SELECT * FROM unnest(:partitions::smallint[], :counts::integer[]) AS g (p, n)
), held AS (
    SELECT p, granted - spent AS left FROM budget_block
    WHERE campaign = :campaign AND p = ANY (:partitions::smallint[]) ORDER BY p FOR UPDATE
), need AS (
    -- A block without a row has what was set aside with the budget (see 0006).
    SELECT g.p, g.n, u.first, greatest(0, g.n - coalesce(h.left, u.first)) AS more, h.p IS NULL AS new
    FROM given g CROSS JOIN (SELECT first FROM budget WHERE campaign = :campaign) u LEFT JOIN held h USING (p)
), grown AS (
    UPDATE budget_block b SET granted = b.granted + need.more, spent = b.spent + need.n
    FROM need WHERE b.campaign = :campaign AND b.p = need.p AND NOT need.new
), made AS (
    INSERT INTO budget_block (campaign, p, granted, spent)
    SELECT :campaign, p, first + more, n FROM need WHERE new ORDER BY p
)
UPDATE budget SET leased = leased + (SELECT sum(more) FROM need) WHERE campaign = :campaign;

-- name: passed!
-- The walk has passed these customers; *ended* says why it is over.
UPDATE walk SET after = :after, issued = issued + :issued, ended = :ended::text,
    done_at = CASE WHEN :ended::text IS NULL THEN NULL ELSE candlemaker_now() END
WHERE campaign = :campaign AND part = :part;
