-- name: list_messages
SELECT i.seq, i.decision, c.id AS coupon, i.title, i.body, i.at, i.expires_at
FROM inbox i LEFT JOIN coupon c ON c.decision = i.decision
WHERE i.customer = :customer AND i.seq > :after AND i.expires_at > candlemaker_now()
ORDER BY i.seq LIMIT :most;

-- name: insert_receipt$
-- NULL: no decision of this customer; otherwise whether the receipt was new.
WITH mine AS (
    SELECT id, customer FROM decision WHERE id = :decision AND customer = :customer
), stored AS (
    INSERT INTO receipt (decision, customer, kind, channel)
    SELECT id, customer, :kind, :channel FROM mine
    ON CONFLICT DO NOTHING
    RETURNING decision
)
SELECT EXISTS (SELECT FROM stored) FROM mine;
