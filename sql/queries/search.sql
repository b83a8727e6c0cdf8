-- name: stores_in_box
-- Open or not, but not closed for good. The box may reach over ±180°, so longitudes compare by their difference.
SELECT s.id, s.retailer, s.code, s.name, r.name AS retailer_name, r.currency, s.lat, s.lng, s.zone, s.country,
    s.opening_hours, s.city, s.tags
FROM store s JOIN retailer r ON r.id = s.retailer
WHERE NOT s.closed AND s.lat BETWEEN :south AND :north
    AND least(abs(s.lng - :lng), 360 - abs(s.lng - :lng)) <= :width
ORDER BY abs(s.lat - (:south + :north) / 2) + abs(s.lng - :lng), s.id LIMIT :most;

-- name: find_products
-- Every word must begin a word of the product. A price of the store itself counts before one for all stores; a
-- sale price only while it lasts. Quoted words cannot be operators of the text query.
WITH asked AS (
    SELECT to_tsquery('simple', string_agg(quote_literal(word) || ':*', ' & ')) AS query FROM unnest(:words::text[]) AS word
), near AS (
    SELECT id, retailer FROM store WHERE id = ANY(:stores::bigint[])
), hits AS (
    SELECT p.id, p.retailer, p.code, p.name, p.brand, p.category, ts_rank(p.words, asked.query) AS relevance
    FROM product p CROSS JOIN asked
    WHERE p.words @@ asked.query AND NOT p.ended AND p.retailer IN (SELECT retailer FROM near)
    ORDER BY relevance DESC, p.id LIMIT :most
)
SELECT near.id AS store, hits.id AS product, hits.code, hits.name, hits.brand, hits.category, hits.relevance,
    price.price_minor, price.availability,
    CASE WHEN coalesce(price.sale_from, '-infinity') <= candlemaker_now()
          AND candlemaker_now() < coalesce(price.sale_until, 'infinity') THEN price.sale_price_minor
    END AS sale_price_minor
FROM hits JOIN near USING (retailer)
LEFT JOIN LATERAL (
    SELECT * FROM price WHERE price.retailer = hits.retailer AND price.product = hits.id AND (price.store = near.id OR price.store IS NULL)
    ORDER BY price.store NULLS LAST LIMIT 1
) price ON true;

-- name: live_campaigns
-- With the stores whose drawn areas it names.
SELECT id, retailer, spec, ARRAY(
    SELECT a.store FROM area a WHERE a.retailer = campaign.retailer AND NOT a.ended AND spec -> 'drawn' ? a.code) AS drawn
FROM campaign
WHERE state = 'live' AND retailer = ANY(:retailers::bigint[]) AND starts_at <= :now AND :now < ends_at
ORDER BY (spec ->> 'priority')::integer DESC NULLS LAST, id LIMIT :most;
