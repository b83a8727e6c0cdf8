-- name: only_one_cleans$
-- Transaction-scoped lock: of several matchers one cleans.
SELECT pg_try_advisory_xact_lock(hashtext('candlemaker.retention'));

-- name: facts!
-- Facts are read once; those in the committed state are kept a day for whoever looks into a fault.
DELETE FROM fact USING partition
WHERE fact.p = partition.p AND fact.seq <= partition.fact_seq AND fact.at < candlemaker_now() - interval '1 day';

-- name: idempotency_keys!
-- A till's answers are replayed for as long as the longest coupon lives, and a day; the others' for a month.
DELETE FROM idempotency WHERE created_at < candlemaker_now()
    - CASE WHEN retailer IS NULL THEN interval '32 days' ELSE interval '366 days' END;

-- name: inbox!
-- An offer that is over stays in the inbox for 30 days.
DELETE FROM inbox WHERE expires_at < candlemaker_now() - interval '30 days';

-- name: messages$
-- What became of a message is kept 90 days, then its day's partition is dropped; its decision and coupon stay.
SELECT drop_outbox_days(candlemaker_now()::date - 90);

-- name: devices!
-- A registration in quarantine for a month was not shown by its phone again: it is removed.
UPDATE device SET state = 'removed', state_at = candlemaker_now()
WHERE state = 'quarantined' AND state_at < candlemaker_now() - interval '30 days';

-- name: purchases!
-- Longer than the longest audience (365 days) nobody asks for a purchase.
DELETE FROM purchase WHERE at < candlemaker_now() - interval '400 days';

-- name: uploads!
-- What an upload was and why its rows were rejected; its body went when it ended.
DELETE FROM upload WHERE finished_at < candlemaker_now() - interval '90 days';

-- name: tallies!
-- Counters by day.
DELETE FROM tally WHERE day < (candlemaker_now() - interval '400 days')::date;
