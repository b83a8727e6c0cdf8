-- name: find_coupon^
-- Row-level security narrows it to one retailer: another's code is as unknown as a guess.
SELECT c.id, c.code_hash, c.state, c.offer, c.store, s.code AS store_code, r.currency
FROM coupon c JOIN store s ON s.id = c.store JOIN retailer r ON r.id = c.retailer
WHERE c.code_hash = ANY (:hashes::bytea[]) ORDER BY c.id LIMIT 1;

-- name: redeem$
-- The one conditional statement: of any number of tills exactly one moves the row, by the database's clock.
WITH taken AS (
    UPDATE coupon SET state = 'redeemed', redeemed_at = candlemaker_now()
    WHERE code_hash = :code_hash AND state = 'issued' AND valid_until > candlemaker_now()
    RETURNING id, retailer
)
INSERT INTO redemption (coupon, retailer, store, till, basket_minor, discount_minor, currency)
SELECT id, retailer, :store, :till, :basket_minor, :discount_minor, :currency FROM taken
RETURNING coupon;
