-- name: partitions
-- Every partition as committed, with the last fact written; what doctor and recovery read.
SELECT p, epoch, position, fact_seq, log_epoch, reset_at, last AS facts_written
FROM partition JOIN fact_counter USING (p) ORDER BY p;

-- name: take_over^
-- Raising the epoch turns every earlier owner into a zombie: its next commit moves no row.
UPDATE partition SET epoch = epoch + 1 WHERE p = :p
RETURNING p, epoch, position, fact_seq, log_epoch, reset_at;

-- name: log_was_lost^
-- The log is not the one this partition was matched from: begin at position 0 of a new one.
UPDATE partition SET log_epoch = :log_epoch, position = 0,
    reset_at = CASE WHEN log_epoch = '' THEN reset_at ELSE candlemaker_now() END
WHERE p = :p AND epoch = :epoch
RETURNING p, epoch, position, fact_seq, log_epoch, reset_at;

-- name: move_positions
-- First statement of every decision transaction. A partition that does not come back has another owner.
UPDATE partition SET position = given.becomes, fact_seq = given.fact_seq
FROM unnest(:p::smallint[], :epoch::bigint[], :position::bigint[], :becomes::bigint[], :fact_seq::bigint[])
    AS given (p, epoch, position, becomes, fact_seq)
WHERE partition.p = given.p AND partition.epoch = given.epoch AND partition.position = given.position
RETURNING partition.p;

-- name: commit_decisions
-- One decision writes: itself, its coupon, its debit, one message a consented channel, and its partition's block.
-- `fresh` is what was not there before; nothing else of a decision is written twice either. One event may come twice in
-- one transaction, too: a report repeated after its customer withdrew consent and gave it anew.
WITH given AS (
    SELECT DISTINCT ON (id) * FROM jsonb_to_recordset(:decisions::jsonb) AS d(
        id uuid, p smallint, position bigint, customer bigint, consents integer, trigger text, occasion uuid,
        campaign bigint, retailer bigint, store bigint, cell bigint, event_at double precision,
        logged_at double precision, terms jsonb, held jsonb, coupon uuid, code_hash text, offer jsonb,
        valid_until double precision, push uuid, inapp uuid, title text, body text)
), fresh AS (
    INSERT INTO decision (id, p, position, customer, trigger, occasion, campaign, retailer, store, cell,
                          event_at, logged_at, decided_at, terms, held)
    SELECT id, p, position, customer, trigger, occasion, campaign, retailer, store, cell,
           to_timestamp(event_at / 1000), to_timestamp(logged_at / 1000), candlemaker_now(), terms, held
    FROM given
    ON CONFLICT DO NOTHING
    RETURNING id
), kept AS (
    SELECT given.* FROM given JOIN fresh USING (id)
), coupons AS (
    INSERT INTO coupon (id, decision, retailer, campaign, store, customer, code_hash, offer, issued_at, valid_until)
    SELECT coupon, id, retailer, campaign, store, customer, decode(code_hash, 'hex'), offer,
           candlemaker_now(), to_timestamp(valid_until / 1000)
    FROM kept
), debits AS (
    INSERT INTO budget_ledger (campaign, p, decision, kind, at)
    SELECT campaign, p, id, 'debit', candlemaker_now() FROM kept
), spent AS (
    UPDATE budget_block b SET spent = b.spent + k.n
    FROM (SELECT campaign, p, count(*) AS n FROM kept GROUP BY campaign, p) k
    WHERE b.campaign = k.campaign AND b.p = k.p
), messages AS (
    INSERT INTO message (id, decision, customer, campaign, occasion, channel, title, body, not_before, expires_at)
    SELECT channel.id, kept.id, customer, campaign, occasion, channel.name, title, body,
           candlemaker_now(), to_timestamp(valid_until / 1000)
    FROM kept CROSS JOIN LATERAL (VALUES (push, 'fcm', 4), (inapp, 'inapp', 8)) AS channel (id, name, bit)
    WHERE consents & channel.bit <> 0
)
SELECT id FROM fresh;

-- name: commit_refunds!
-- Outcome facts of decisions of which nothing went out; the ledger's key allows one refund each.
WITH given AS (
    SELECT * FROM unnest(:p::smallint[], :campaign::bigint[], :decision::uuid[]) AS g (p, campaign, decision)
), fresh AS (
    INSERT INTO budget_ledger (campaign, p, decision, kind, at)
    SELECT campaign, p, decision, 'refund', candlemaker_now() FROM given
    ON CONFLICT DO NOTHING
    RETURNING campaign, p, decision
), marked AS (
    UPDATE decision SET refunded = true FROM fresh WHERE decision.id = fresh.decision
)
UPDATE budget_block b SET spent = b.spent - f.n
FROM (SELECT campaign, p, count(*) AS n FROM fresh GROUP BY campaign, p) f
WHERE b.campaign = f.campaign AND b.p = f.p;

-- name: commit_returns!
-- Coupons of blocks nobody spends go back to the budget, where a starved partition finds them.
WITH given AS (
    SELECT * FROM unnest(:p::smallint[], :campaign::bigint[], :n::integer[]) AS g (p, campaign, n)
), blocks AS (
    UPDATE budget_block b SET granted = b.granted - g.n FROM given g WHERE b.campaign = g.campaign AND b.p = g.p
)
UPDATE budget SET leased = leased - g.n
FROM (SELECT campaign, sum(n) AS n FROM given GROUP BY campaign) g
WHERE budget.campaign = g.campaign;

-- name: commit_tally!
-- Counters; in the order of their key, so that two owners never wait for each other in a circle.
INSERT INTO tally (p, day, campaign, name, n)
SELECT g.p, candlemaker_now()::date, g.campaign, g.name, g.n
FROM unnest(:p::smallint[], :campaign::bigint[], :name::text[], :n::bigint[]) AS g (p, campaign, name, n)
ORDER BY g.p, g.campaign, g.name
ON CONFLICT (p, day, campaign, name) DO UPDATE SET n = tally.n + excluded.n;

-- name: facts_after
-- Facts above what each partition's owner has appended to its log, oldest first, a bounded page each.
SELECT f.p, f.seq, f.kind, f.payload
FROM unnest(:p::smallint[], :after::bigint[]) AS g (p, after)
CROSS JOIN LATERAL (
    SELECT p, seq, kind, payload FROM fact WHERE fact.p = g.p AND fact.seq > g.after ORDER BY seq LIMIT 2000
) f
ORDER BY f.p, f.seq;

-- name: load_consents
-- Consents of a partition's customers.
SELECT number, consents FROM customer WHERE p = :p;

-- name: load_caps
-- Decisions younger than the longest cap and not given back: the caps' counters.
SELECT customer AS number, campaign, (extract(epoch FROM logged_at) * 1000)::bigint AS logged_ms
FROM decision WHERE p = :p AND NOT refunded AND logged_at > candlemaker_now() - interval '400 days'
ORDER BY logged_at;

-- name: load_blocks
-- The partition's unspent and spent budget.
SELECT campaign, granted, spent FROM budget_block WHERE p = :p;

-- name: load_history
-- Purchase lines of customers who consent to history, within the longest audience.
SELECT c.number, l.product, l.quantity, (extract(epoch FROM u.at) * 1000)::bigint AS at_ms
FROM purchase u JOIN customer c ON c.number = u.customer JOIN purchase_line l ON l.purchase = u.id
WHERE u.p = :p AND c.consents & 2 <> 0 AND u.at > candlemaker_now() - interval '365 days'
ORDER BY u.at, u.id, l.line;

-- name: load_stopped
-- Campaigns that were killed and may still stand in an older snapshot.
SELECT id FROM campaign WHERE stopped;

-- name: grant_blocks
-- Lease a 64th of each budget (at least one coupon) to a partition. FOR UPDATE in the order of campaign, so that
-- two owners never wait for each other in a circle; a budget without room is marked starved instead.
WITH room AS (
    SELECT campaign, least(total - leased, greatest(1, total / 64)) AS n
    FROM budget WHERE campaign = ANY (:campaigns::bigint[]) ORDER BY campaign FOR UPDATE
), leased AS (
    UPDATE budget b SET leased = b.leased + room.n,
        starved_at = CASE WHEN room.n = 0 AND :starving THEN candlemaker_now() ELSE b.starved_at END
    FROM room WHERE b.campaign = room.campaign
), blocks AS (
    INSERT INTO budget_block AS b (campaign, p, granted)
    SELECT campaign, :p, n FROM room WHERE n > 0
    ON CONFLICT (campaign, p) DO UPDATE SET granted = b.granted + excluded.granted
)
SELECT campaign, n FROM room WHERE n > 0;

-- name: starving_budgets
-- Campaigns that some partition asked for in vain in the last five seconds.
SELECT campaign FROM budget
WHERE leased = total AND starved_at > candlemaker_now() - interval '5 seconds';

-- name: append_fact!
-- Last statement of a transaction, see the function.
SELECT append_fact(:p::smallint, :kind, :payload::jsonb);
