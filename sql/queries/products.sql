-- name: upsert_products
-- In order of code, so that two uploads lock rows in the same order and cannot deadlock.
INSERT INTO product (retailer, code, gtin, name, brand, category)
SELECT :retailer, p.code, p.gtin, p.name, p.brand, p.category
FROM jsonb_to_recordset(:rows::jsonb) AS p(code text, gtin text, name text, brand text, category text)
ORDER BY p.code
ON CONFLICT ON CONSTRAINT product_code_is_unique DO UPDATE SET
    gtin = excluded.gtin, name = excluded.name, brand = excluded.brand, category = excluded.category, ended = false,
    updated_at = candlemaker_now()
RETURNING code, id, (xmax = 0) AS created;

-- name: list_products
-- Row-level security narrows it to one retailer.
SELECT id, code, gtin, name, brand, category FROM product WHERE id > :after AND NOT ended ORDER BY id LIMIT :most;

-- name: find_products
-- Codes to ids; names the retailer because app routes see all.
SELECT code, id FROM product WHERE retailer = :retailer AND NOT ended AND code = ANY(:codes::text[]);

-- name: upsert_prices!
-- In order of product and store, so that two uploads cannot deadlock.
INSERT INTO price (retailer, product, store, price_minor, sale_price_minor, sale_from, sale_until, currency,
                   availability, quantity, pickup_method, pickup_sla)
SELECT :retailer, p.product, p.store, p.price_minor, p.sale_price_minor, p.sale_from, p.sale_until, p.currency,
       p.availability, p.quantity, p.pickup_method, p.pickup_sla
FROM jsonb_to_recordset(:rows::jsonb) AS p(
    product bigint, store bigint, price_minor bigint, sale_price_minor bigint, sale_from timestamptz,
    sale_until timestamptz, currency char(3), availability text, quantity integer, pickup_method text,
    pickup_sla text)
ORDER BY p.product, p.store
ON CONFLICT ON CONSTRAINT one_price_a_store DO UPDATE SET
    price_minor = excluded.price_minor, sale_price_minor = excluded.sale_price_minor,
    sale_from = excluded.sale_from, sale_until = excluded.sale_until, currency = excluded.currency,
    availability = excluded.availability, quantity = excluded.quantity, pickup_method = excluded.pickup_method,
    pickup_sla = excluded.pickup_sla, updated_at = candlemaker_now();
