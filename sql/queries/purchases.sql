-- name: lock_receipts
-- In the order of the receipts: two batches cannot deadlock here.
SELECT pg_advisory_xact_lock(hashtextextended(:retailer::bigint || ' ' || receipt, 3))
FROM (SELECT receipt FROM unnest(:receipts::text[]) AS receipt ORDER BY receipt) ordered;

-- name: find_customers
-- FOR SHARE: a consent that is being revoked is waited for, and none is revoked before we commit.
SELECT id, number, consents FROM customer WHERE id = ANY(:ids::text[]) ORDER BY number FOR SHARE;

-- name: find_purchases
-- Receipts stored already, with their lines as [product, quantity, amount].
SELECT u.receipt, u.customer, u.store, u.at, u.total_minor,
    (SELECT jsonb_agg(jsonb_build_array(l.product, l.quantity, l.amount_minor) ORDER BY l.line)
     FROM purchase_line l WHERE l.purchase = u.id) AS lines
FROM purchase u WHERE u.retailer = :retailer AND u.receipt = ANY(:receipts::text[]);

-- name: insert_purchases!
-- Receipts and their lines in one statement; lines are numbered from 1.
WITH given AS (
    SELECT * FROM jsonb_to_recordset(:rows::jsonb) AS g (
        customer bigint, p smallint, receipt text, store bigint, at timestamptz, total_minor bigint,
        currency char(3), lines jsonb)
), stored AS (
    INSERT INTO purchase (retailer, customer, p, receipt, store, at, total_minor, currency)
    SELECT :retailer, customer, p, receipt, store, at, total_minor, currency FROM given
    RETURNING id, receipt
)
INSERT INTO purchase_line (purchase, line, retailer, product, quantity, amount_minor)
SELECT stored.id, l.i, :retailer, (l.line ->> 0)::bigint, (l.line ->> 1)::integer, (l.line ->> 2)::bigint
FROM stored JOIN given USING (receipt)
CROSS JOIN LATERAL jsonb_array_elements(given.lines) WITH ORDINALITY AS l (line, i);
