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

-- name: commit_turn
-- The decision transaction (sql/migrations/0002_commit.sql says what a turn is): ids of the decisions that are new.
SELECT id FROM candlemaker_commit(:turn::jsonb) AS id;

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
-- Decisions younger than the longest cap and not given back: the caps' counters. Those of no log entry are of a start
-- campaign, which reaches nobody twice.
SELECT customer AS number, campaign, (extract(epoch FROM logged_at) * 1000)::bigint AS logged_ms
FROM decision WHERE p = :p AND position > 0 AND NOT refunded AND logged_at > candlemaker_now() - interval '400 days'
ORDER BY logged_at;

-- name: load_blocks
-- The partition's unspent and spent budget; campaigns that walk are not the matcher's.
SELECT b.campaign, b.granted, b.spent FROM budget_block b JOIN campaign k ON k.id = b.campaign
WHERE b.p = :p AND NOT candlemaker_walks(k.spec);

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
-- Lease a 64th of each budget (at least one coupon) to a partition, or as many as it needs at once, up to the partition's
-- fair part. FOR UPDATE in the order of campaign, so that two owners never wait for each other in a circle; a budget
-- without room is marked starved instead.
WITH room AS (
    SELECT campaign, first, least(total - leased, greatest(1, total / 64, least(asked.need, total / 16))) AS n
    FROM budget JOIN unnest(:campaigns::bigint[], :needs::integer[]) AS asked (campaign, need) USING (campaign)
    ORDER BY campaign FOR UPDATE OF budget
), leased AS (
    UPDATE budget b SET leased = b.leased + room.n,
        starved_at = CASE WHEN room.n = 0 AND :starving THEN candlemaker_now() ELSE b.starved_at END
    FROM room WHERE b.campaign = room.campaign
), blocks AS (
    INSERT INTO budget_block AS b (campaign, p, granted)
    -- A block whose row is new begins with what was set aside for it.
    SELECT campaign, :p, first + n FROM room WHERE n > 0
    ON CONFLICT (campaign, p) DO UPDATE SET granted = b.granted + excluded.granted
        - (SELECT first FROM room WHERE room.campaign = b.campaign)
)
SELECT campaign, n FROM room WHERE n > 0;

-- name: write_blocks!
-- Rows of blocks that begin to be spent, with what was set aside for them; before the transaction that spends moves them.
INSERT INTO budget_block (campaign, p, granted)
SELECT u.campaign, g.p, u.first
FROM unnest(:p::smallint[], :campaign::bigint[]) AS g (p, campaign) JOIN budget u USING (campaign)
ORDER BY u.campaign, g.p
ON CONFLICT DO NOTHING;

-- name: starving_budgets
-- Campaigns that some partition asked for in vain in the last five seconds.
SELECT campaign FROM budget
WHERE leased = total AND starved_at > candlemaker_now() - interval '5 seconds';

-- name: append_fact!
-- Last statement of a transaction, see the function.
SELECT append_fact(:p::smallint, :kind, :payload::jsonb);
