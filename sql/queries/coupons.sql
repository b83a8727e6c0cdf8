-- name: list_coupons
SELECT c.id, c.decision, c.offer, c.issued_at, c.valid_until, c.redeemed_at, r.name AS retailer, s.code AS store,
    s.name AS store_name, k.sealed, coalesce(g.spec #>> '{creative,title}', g.code) AS title,
    CASE WHEN c.state = 'issued' AND c.valid_until <= candlemaker_now() THEN 'expired' ELSE c.state END AS state
FROM coupon c JOIN retailer r ON r.id = c.retailer JOIN store s ON s.id = c.store JOIN campaign g ON g.id = c.campaign
LEFT JOIN coupon_code k ON k.coupon = c.id
WHERE c.customer = :customer ORDER BY c.issued_at DESC, c.id LIMIT :most;

-- name: get_coupon^
SELECT c.id, c.decision, c.offer, c.issued_at, c.valid_until, c.redeemed_at, r.name AS retailer, s.code AS store,
    s.name AS store_name, k.sealed, coalesce(g.spec #>> '{creative,title}', g.code) AS title,
    CASE WHEN c.state = 'issued' AND c.valid_until <= candlemaker_now() THEN 'expired' ELSE c.state END AS state
FROM coupon c JOIN retailer r ON r.id = c.retailer JOIN store s ON s.id = c.store JOIN campaign g ON g.id = c.campaign
LEFT JOIN coupon_code k ON k.coupon = c.id
WHERE c.customer = :customer AND c.id = :id;
