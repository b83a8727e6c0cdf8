-- name: foreign_retailers$
-- The demo wants a database without anybody's data.
SELECT count(*) FROM retailer;

-- name: tallies
-- What the matchers counted: pings by fate, triggers, silences by reason.
SELECT name, sum(n)::bigint AS n FROM tally GROUP BY name ORDER BY name;

-- name: totals^
-- Rows of what a run leaves behind.
SELECT (SELECT count(*) FROM decision) AS decisions, (SELECT count(*) FROM coupon) AS coupons,
    (SELECT count(*) FROM redemption) AS redemptions,
    (SELECT count(*) FROM receipt WHERE kind = 'shown') AS shown,
    (SELECT count(*) FROM message_state WHERE state = 'sent') AS sent,
    (SELECT count(*) FROM message_state WHERE state IN ('queued', 'leased')) AS open_messages,
    (SELECT count(*) FROM customer) AS customers,
    (SELECT sum(epoch)::bigint FROM partition) AS epochs;

-- name: messages
-- Messages by channel, state and reason.
SELECT channel, state, reason, count(*) AS n FROM message_state GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- name: decisions
-- Every decision with its push, if it has one: what the ledger's arrivals are held against.
SELECT d.id::text, d.customer, d.campaign, d.occasion::text, d.trigger, d.refunded,
    (extract(epoch FROM d.event_at) * 1000)::bigint AS event_ms, (extract(epoch FROM d.logged_at) * 1000)::bigint AS logged_ms,
    (extract(epoch FROM d.decided_at) * 1000)::bigint AS decided_ms, m.state AS push
FROM decision d LEFT JOIN message_state m ON m.decision = d.id AND m.channel = 'fcm';

-- name: registrations
-- Whose phone is whose.
SELECT registration, customer FROM device;

-- name: silenced
-- Customers whose newest word takes a marketing channel away: since when push (bit 4), since when in-app (bit 8).
SELECT customer, (extract(epoch FROM at) * 1000)::bigint AS at_ms, consents & 4 = 0 AS push, consents & 8 = 0 AS inapp
FROM (SELECT DISTINCT ON (customer) customer, at, consents FROM consent_change ORDER BY customer, at DESC) newest
WHERE consents & 12 <> 12;

-- name: inbox_times
-- When each customer got in-app messages.
SELECT customer, (extract(epoch FROM at) * 1000)::bigint AS at_ms FROM inbox;

-- name: budgets
-- Each campaign's money from three sides: budget, blocks, ledger; with the cap it promises.
SELECT b.campaign, c.code, b.total, b.leased, coalesce(k.granted, 0) AS granted, coalesce(k.spent, 0) AS spent,
    coalesce(l.debits, 0) AS debits, coalesce(l.refunds, 0) AS refunds, coalesce(d.decisions, 0) AS decisions,
    coalesce(l.crooked, 0) AS crooked
FROM budget b JOIN campaign c ON c.id = b.campaign
LEFT JOIN (SELECT campaign, sum(granted)::bigint AS granted, sum(spent)::bigint AS spent FROM budget_block GROUP BY 1) k
    ON k.campaign = b.campaign
LEFT JOIN (SELECT campaign, count(*) AS decisions FROM decision GROUP BY 1) d ON d.campaign = b.campaign
LEFT JOIN (
    -- crooked: partitions whose block says something else than the ledger
    SELECT e.campaign, sum(e.debits)::bigint AS debits, sum(e.refunds)::bigint AS refunds,
        count(*) FILTER (WHERE e.debits - e.refunds <> coalesce(o.spent, 0)) AS crooked
    FROM (SELECT campaign, p, count(*) FILTER (WHERE kind = 'debit') AS debits,
              count(*) FILTER (WHERE kind = 'refund') AS refunds
          FROM budget_ledger GROUP BY 1, 2) e
    LEFT JOIN budget_block o ON o.campaign = e.campaign AND o.p = e.p
    GROUP BY 1) l ON l.campaign = b.campaign
ORDER BY b.campaign;

-- name: over_cap
-- Customers with more standing decisions of a campaign within its window than its cap allows.
SELECT d.customer, d.campaign, count(*) AS n
FROM decision d JOIN campaign c ON c.id = d.campaign
JOIN decision e ON e.customer = d.customer AND e.campaign = d.campaign AND NOT e.refunded AND e.logged_at <= d.logged_at
    AND e.logged_at > d.logged_at - (c.spec #>> '{cap,per_days}')::int * interval '24 hours'
WHERE NOT d.refunded
GROUP BY d.id, d.customer, d.campaign, c.spec
HAVING count(*) > (c.spec #>> '{cap,coupons}')::int;

-- name: twice_redeemed
-- Coupons whose state and redemptions disagree: none, one, and never two.
SELECT c.id::text, c.state, count(r.id) AS n FROM coupon c LEFT JOIN redemption r ON r.coupon = c.id
GROUP BY c.id HAVING count(r.id) <> (c.state = 'redeemed')::int;

-- name: redemptions_of$
-- How many of these coupons were redeemed, each counted once.
SELECT count(DISTINCT coupon) FROM redemption WHERE coupon = ANY (:coupons::uuid[]);

-- name: doubled_events
-- More than one decision for one report of one phone.
SELECT customer, trigger, count(*) AS n FROM decision WHERE trigger = 'enter'
GROUP BY customer, trigger, event_at HAVING count(*) > 1;

-- name: orphans^
-- Decisions without coupon or debit.
SELECT count(*) FILTER (WHERE c.id IS NULL) AS without_coupon, count(*) FILTER (WHERE l.decision IS NULL) AS without_debit
FROM decision d LEFT JOIN coupon c ON c.decision = d.id
LEFT JOIN budget_ledger l ON l.decision = d.id AND l.kind = 'debit';

-- name: by_trigger
-- Decisions by what triggered them.
SELECT trigger AS name, count(*) AS n FROM decision GROUP BY trigger ORDER BY trigger;

-- name: run_out$
-- Campaigns whose last coupon is given.
SELECT count(*) FROM budget b
WHERE b.total <= (SELECT sum(spent) FROM budget_block k WHERE k.campaign = b.campaign);

-- name: recent_entries
-- When the phones reported what was decided lately, for the live latency.
SELECT id::text, (extract(epoch FROM event_at) * 1000)::bigint AS event_ms FROM decision
WHERE trigger = 'enter' AND decided_at > to_timestamp(:since_ms::bigint / 1000.0);
