-- name: product_codes
-- Row-level security narrows this and the following to one retailer; the loader acts as its tenant.
SELECT code, id FROM product WHERE NOT ended;

-- name: store_codes
SELECT code, id FROM store;

-- name: area_codes
SELECT code, id FROM area WHERE NOT ended;

-- name: campaign_codes
SELECT code, id FROM campaign WHERE state <> 'ended';

-- name: tags
SELECT DISTINCT tag FROM store CROSS JOIN LATERAL unnest(tags) AS tag WHERE NOT closed;

-- name: cities
SELECT DISTINCT city FROM store WHERE NOT closed AND city IS NOT NULL;

-- name: make_staged#
-- Of this session alone, gone with it, and without a log: what is in it was checked, and is stored by one transaction.
DROP TABLE IF EXISTS staged, staged_price;
CREATE TEMP TABLE staged ("row" bigint NOT NULL, code text NOT NULL, data jsonb NOT NULL);
CREATE TEMP TABLE staged_price (
    "row" integer NOT NULL, product bigint NOT NULL, store bigint NOT NULL, price bigint NOT NULL, sale bigint NOT NULL,
    sale_from timestamptz NOT NULL, sale_until timestamptz NOT NULL, quantity integer NOT NULL,
    availability smallint NOT NULL, pickup_method smallint NOT NULL, pickup_sla smallint NOT NULL);

-- name: drop_staged#
DROP TABLE IF EXISTS staged, staged_price;

-- name: analyse_staged#
ANALYZE staged, staged_price;

-- name: repeated_rows
-- Rows whose code stands in an earlier one.
SELECT "row", first, count(*) OVER () AS all_of_them
FROM (SELECT "row", min("row") OVER (PARTITION BY code) AS first FROM staged) numbered
WHERE "row" <> first ORDER BY "row" LIMIT :most;

-- name: repeated_prices
SELECT "row", first, count(*) OVER () AS all_of_them
FROM (SELECT "row", min("row") OVER (PARTITION BY product, store) AS first FROM staged_price) numbered
WHERE "row" <> first ORDER BY "row" LIMIT :most;

-- name: take_memory#
-- Sorts and joins of millions of rows; and no statement is waited for longer than a catalogue takes.
SET LOCAL work_mem = '96MB';
SET LOCAL hash_mem_multiplier = 2;

-- name: take_time#
-- What a transaction of requests may not: stand still while this process counts.
SET LOCAL idle_in_transaction_session_timeout = '10min';

-- ── Stores, products, areas ──────────────────────────────────────────────────────────────────────────────────

-- name: merge_stores^
-- In order of code, as everything that locks stores. Rows that say what is stored already are not written.
WITH given AS (
    SELECT d.* FROM staged CROSS JOIN LATERAL jsonb_to_record(data) AS d(
        code text, name text, lat double precision, lng double precision, cell bigint, zone text, country char(2),
        opening_hours text, address text, closed boolean, city text, tags text[])
), merged AS (
    INSERT INTO store (retailer, code, name, lat, lng, cell, zone, country, opening_hours, address, closed, city, tags)
    SELECT :retailer, code, name, lat, lng, cell, zone, country, opening_hours, address, closed, city, tags
    FROM given ORDER BY code
    ON CONFLICT ON CONSTRAINT store_code_is_unique DO UPDATE SET
        name = excluded.name, lat = excluded.lat, lng = excluded.lng, cell = excluded.cell, zone = excluded.zone,
        country = excluded.country, opening_hours = excluded.opening_hours, address = excluded.address,
        closed = excluded.closed, city = excluded.city, tags = excluded.tags, updated_at = candlemaker_now()
    WHERE (store.name, store.lat, store.lng, store.zone, store.country, store.opening_hours, store.address, store.closed,
           store.city, store.tags)
        IS DISTINCT FROM (excluded.name, excluded.lat, excluded.lng, excluded.zone, excluded.country,
                          excluded.opening_hours, excluded.address, excluded.closed, excluded.city, excluded.tags)
    RETURNING xmax = 0 AS created
)
SELECT count(*) FILTER (WHERE created) AS created, count(*) FILTER (WHERE NOT created) AS updated,
    (SELECT count(*) FROM staged) - count(*) AS unchanged
FROM merged;

-- name: close_missing$
WITH closed AS (
    UPDATE store SET closed = true, updated_at = candlemaker_now()
    WHERE NOT closed AND NOT EXISTS (SELECT FROM staged WHERE staged.code = store.code)
    RETURNING 1
)
SELECT count(*) FROM closed;

-- name: merge_products^
WITH given AS (
    SELECT d.* FROM staged
    CROSS JOIN LATERAL jsonb_to_record(data) AS d(code text, gtin text, name text, brand text, category text)
), merged AS (
    INSERT INTO product (retailer, code, gtin, name, brand, category)
    SELECT :retailer, code, gtin, name, brand, category FROM given ORDER BY code
    ON CONFLICT ON CONSTRAINT product_code_is_unique DO UPDATE SET
        gtin = excluded.gtin, name = excluded.name, brand = excluded.brand, category = excluded.category, ended = false,
        updated_at = candlemaker_now()
    WHERE (product.gtin, product.name, product.brand, product.category, product.ended)
        IS DISTINCT FROM (excluded.gtin, excluded.name, excluded.brand, excluded.category, false)
    RETURNING xmax = 0 AS created
)
SELECT count(*) FILTER (WHERE created) AS created, count(*) FILTER (WHERE NOT created) AS updated,
    (SELECT count(*) FROM staged) - count(*) AS unchanged
FROM merged;

-- name: end_missing_products$
WITH ended AS (
    UPDATE product SET ended = true, updated_at = candlemaker_now()
    WHERE NOT ended AND NOT EXISTS (SELECT FROM staged WHERE staged.code = product.code)
    RETURNING 1
)
SELECT count(*) FROM ended;

-- name: merge_areas^
WITH given AS (
    SELECT d.* FROM staged
    CROSS JOIN LATERAL jsonb_to_record(data) AS d(code text, store text, name text, geometry jsonb)
), merged AS (
    INSERT INTO area (retailer, code, store, name, geometry)
    SELECT :retailer, code, store, name, geometry FROM given ORDER BY code
    ON CONFLICT ON CONSTRAINT area_code_is_unique DO UPDATE SET
        store = excluded.store, name = excluded.name, geometry = excluded.geometry, ended = false,
        updated_at = candlemaker_now()
    WHERE (area.store, area.name, area.geometry, area.ended)
        IS DISTINCT FROM (excluded.store, excluded.name, excluded.geometry, false)
    RETURNING xmax = 0 AS created
)
SELECT count(*) FILTER (WHERE created) AS created, count(*) FILTER (WHERE NOT created) AS updated,
    (SELECT count(*) FROM staged) - count(*) AS unchanged
FROM merged;

-- name: end_missing_areas$
WITH ended AS (
    UPDATE area SET ended = true, updated_at = candlemaker_now()
    WHERE NOT ended AND NOT EXISTS (SELECT FROM staged WHERE staged.code = area.code)
    RETURNING 1
)
SELECT count(*) FROM ended;

-- ── Codes ────────────────────────────────────────────────────────────────────────────────────────────────────

-- name: codes_elsewhere
-- A code is one campaign's: moving it could take it from a customer who has it.
SELECT s."row" FROM staged s JOIN coupon_code c ON c.code_hash = decode(s.code, 'hex')
WHERE c.campaign <> (s.data ->> 'campaign')::bigint ORDER BY s."row" LIMIT 100000;

-- name: merge_codes^
WITH merged AS (
    INSERT INTO coupon_code (retailer, campaign, code_hash, sealed)
    SELECT :retailer, (data ->> 'campaign')::bigint, decode(code, 'hex'), decode(data ->> 'sealed', 'base64')
    FROM staged ORDER BY "row"
    ON CONFLICT ON CONSTRAINT own_code_is_unique DO NOTHING
    RETURNING 1
)
SELECT count(*) AS created, (SELECT count(*) FROM staged) - count(*) AS unchanged FROM merged;

-- name: drop_missing_codes$
-- Of the campaigns in the file, and only codes that nobody has.
WITH gone AS (
    DELETE FROM coupon_code c
    WHERE c.coupon IS NULL AND c.campaign IN (SELECT (data ->> 'campaign')::bigint FROM staged)
        AND NOT EXISTS (SELECT FROM staged WHERE decode(staged.code, 'hex') = c.code_hash)
    RETURNING 1
)
SELECT count(*) FROM gone;

-- ── Prices ───────────────────────────────────────────────────────────────────────────────────────────────────
-- In the staged rows 0 is every store, -1 and -infinity are nothing: rows of one length are copied fastest. Values are
-- compared as they are staged, so that both statements agree on what differs.

-- name: price_difference^
SELECT count(*) FILTER (WHERE p.product IS NULL) AS created,
    count(*) FILTER (WHERE p.product IS NOT NULL AND (
        p.price_minor, coalesce(p.sale_price_minor, -1), coalesce(p.sale_from, '-infinity'),
        coalesce(p.sale_until, '-infinity'), coalesce(p.quantity, -1), p.availability, p.pickup_method, p.pickup_sla)
        IS DISTINCT FROM (
        s.price, s.sale, s.sale_from, s.sale_until, s.quantity,
        (ARRAY['in_stock', 'limited_availability', 'on_display_to_order', 'out_of_stock'])[s.availability + 1],
        (ARRAY['buy', 'reserve', 'ship_to_store', 'not_supported'])[s.pickup_method + 1],
        (ARRAY['same_day', 'next_day', '2_day', '3_day', '4_day', '5_day', '6_day', '7_day', 'multi_week'])[s.pickup_sla + 1]
    )) AS updated,
    count(*) FILTER (WHERE p.product IS NOT NULL AND (
        p.price_minor, coalesce(p.sale_price_minor, -1), coalesce(p.sale_from, '-infinity'),
        coalesce(p.sale_until, '-infinity'), coalesce(p.quantity, -1), p.availability, p.pickup_method, p.pickup_sla)
        IS NOT DISTINCT FROM (
        s.price, s.sale, s.sale_from, s.sale_until, s.quantity,
        (ARRAY['in_stock', 'limited_availability', 'on_display_to_order', 'out_of_stock'])[s.availability + 1],
        (ARRAY['buy', 'reserve', 'ship_to_store', 'not_supported'])[s.pickup_method + 1],
        (ARRAY['same_day', 'next_day', '2_day', '3_day', '4_day', '5_day', '6_day', '7_day', 'multi_week'])[s.pickup_sla + 1]
    )) AS unchanged
FROM staged_price s
LEFT JOIN price p ON p.retailer = :retailer AND p.product = s.product AND coalesce(p.store, 0) = s.store;

-- name: update_prices!
UPDATE price p SET price_minor = s.price, sale_price_minor = nullif(s.sale, -1),
    sale_from = nullif(s.sale_from, '-infinity'), sale_until = nullif(s.sale_until, '-infinity'),
    quantity = nullif(s.quantity, -1),
    availability =
        (ARRAY['in_stock', 'limited_availability', 'on_display_to_order', 'out_of_stock'])[s.availability + 1],
    pickup_method = (ARRAY['buy', 'reserve', 'ship_to_store', 'not_supported'])[s.pickup_method + 1],
    pickup_sla =
        (ARRAY['same_day', 'next_day', '2_day', '3_day', '4_day', '5_day', '6_day', '7_day', 'multi_week'])[s.pickup_sla + 1],
    updated_at = candlemaker_now()
FROM staged_price s
WHERE p.retailer = :retailer AND p.product = s.product AND coalesce(p.store, 0) = s.store AND (
    p.price_minor, coalesce(p.sale_price_minor, -1), coalesce(p.sale_from, '-infinity'),
    coalesce(p.sale_until, '-infinity'), coalesce(p.quantity, -1), p.availability, p.pickup_method, p.pickup_sla)
    IS DISTINCT FROM (
    s.price, s.sale, s.sale_from, s.sale_until, s.quantity,
    (ARRAY['in_stock', 'limited_availability', 'on_display_to_order', 'out_of_stock'])[s.availability + 1],
    (ARRAY['buy', 'reserve', 'ship_to_store', 'not_supported'])[s.pickup_method + 1],
    (ARRAY['same_day', 'next_day', '2_day', '3_day', '4_day', '5_day', '6_day', '7_day', 'multi_week'])[s.pickup_sla + 1]);

-- name: insert_prices!
-- In the order of the index, whose pages are then filled one after the other.
INSERT INTO price (retailer, product, store, price_minor, sale_price_minor, sale_from, sale_until, currency, availability,
                   quantity, pickup_method, pickup_sla)
SELECT :retailer, s.product, nullif(s.store, 0), s.price, nullif(s.sale, -1), nullif(s.sale_from, '-infinity'),
    nullif(s.sale_until, '-infinity'), :currency,
    (ARRAY['in_stock', 'limited_availability', 'on_display_to_order', 'out_of_stock'])[s.availability + 1],
    nullif(s.quantity, -1),
    (ARRAY['buy', 'reserve', 'ship_to_store', 'not_supported'])[s.pickup_method + 1],
    (ARRAY['same_day', 'next_day', '2_day', '3_day', '4_day', '5_day', '6_day', '7_day', 'multi_week'])[s.pickup_sla + 1]
FROM staged_price s
WHERE NOT EXISTS (
    SELECT FROM price p WHERE p.retailer = :retailer AND p.product = s.product AND coalesce(p.store, 0) = s.store)
ORDER BY s.product, s.store;

-- name: count_missing_prices$
SELECT count(*) FROM price p WHERE p.retailer = :retailer AND NOT EXISTS (
    SELECT FROM staged_price s WHERE s.product = p.product AND s.store = coalesce(p.store, 0));

-- name: drop_missing_prices!
DELETE FROM price p WHERE p.retailer = :retailer AND NOT EXISTS (
    SELECT FROM staged_price s WHERE s.product = p.product AND s.store = coalesce(p.store, 0));

-- ── Campaigns ────────────────────────────────────────────────────────────────────────────────────────────────

-- name: ended_campaigns
-- What has ended stays ended: its books are closed under that code.
SELECT s."row" FROM staged s JOIN campaign c ON c.code = s.code WHERE c.retailer = :retailer AND c.state = 'ended'
ORDER BY s."row" LIMIT 100000;

-- name: budgets_too_small
SELECT s."row", b.leased FROM staged s JOIN campaign c ON c.code = s.code JOIN budget b ON b.campaign = c.id
WHERE c.retailer = :retailer AND (s.data ->> 'budget_coupons')::integer < b.leased ORDER BY s."row" LIMIT 100000;

-- name: merge_campaigns^
-- Drafts for codes that are new, another version where what is said differs; with budget and audit in one statement. With
-- `activate` those that are new go on to where the verb would take them, which is their second version.
WITH given AS MATERIALIZED (
    SELECT code, data AS spec, (data ->> 'starts_at')::timestamptz AS starts_at,
        (data ->> 'ends_at')::timestamptz AS ends_at, (data ->> 'budget_coupons')::integer AS total
    FROM staged
), made AS (
    INSERT INTO campaign (retailer, code, spec, starts_at, ends_at, state, version)
    SELECT :retailer, code, spec, starts_at, ends_at,
        CASE WHEN NOT :activate THEN 'draft' WHEN starts_at > candlemaker_now() THEN 'scheduled' ELSE 'live' END,
        CASE WHEN :activate THEN 2 ELSE 1 END
    FROM given g
    WHERE NOT EXISTS (SELECT FROM campaign c WHERE c.retailer = :retailer AND c.code = g.code)
    ORDER BY code
    RETURNING id, code, state
), changed AS (
    UPDATE campaign c SET spec = g.spec, starts_at = g.starts_at, ends_at = g.ends_at, version = c.version + 1,
        updated_at = candlemaker_now()
    FROM given g WHERE c.retailer = :retailer AND c.code = g.code AND c.spec IS DISTINCT FROM g.spec
    RETURNING c.id, c.version, g.spec, g.total
), budgets AS (
    -- With a 64th for each partition set aside: nobody has to lease it (see 0006).
    INSERT INTO budget (campaign, retailer, total, first, leased)
    SELECT id, :retailer, total, total / 64, total / 64 * p.n
    FROM made JOIN given USING (code) CROSS JOIN (SELECT value::integer AS n FROM meta WHERE name = 'partitions') p
), resized AS (
    UPDATE budget b SET total = changed.total FROM changed WHERE b.campaign = changed.id AND b.total <> changed.total
), noted AS (
    INSERT INTO campaign_audit (campaign, retailer, version, verb, caller, spec)
    SELECT id, :retailer, 1, 'create', :caller, spec FROM made JOIN given USING (code)
    UNION ALL SELECT id, :retailer, version, 'edit', :caller, spec FROM changed
    UNION ALL SELECT id, :retailer, 2, CASE state WHEN 'live' THEN 'activate' ELSE 'schedule' END, :caller, NULL
        FROM made WHERE state <> 'draft'
)
SELECT (SELECT count(*) FROM made) AS created, (SELECT count(*) FROM changed) AS updated,
    (SELECT count(*) FROM given) - (SELECT count(*) FROM made) - (SELECT count(*) FROM changed) AS unchanged;

-- name: too_few_codes
-- Campaigns of the file that give codes of their own and have fewer than they may give.
SELECT s."row" FROM staged s JOIN campaign c ON c.code = s.code
WHERE c.retailer = :retailer AND (s.data ->> 'own_codes')::boolean AND (s.data ->> 'budget_coupons')::bigint >
    (SELECT count(*) FROM coupon_code k WHERE k.campaign = c.id)
ORDER BY s."row" LIMIT 100000;

-- name: activate_staged!
-- Those that were there before, as the verb does: live, or scheduled where the start of a draft lies ahead.
WITH moved AS (
    UPDATE campaign c SET state = CASE WHEN c.state = 'draft' AND c.starts_at > candlemaker_now() THEN 'scheduled'
            ELSE 'live' END, version = c.version + 1, updated_at = candlemaker_now()
    FROM staged s WHERE c.retailer = :retailer AND c.code = s.code AND c.state IN ('draft', 'paused')
    RETURNING c.id, c.version, c.state
)
INSERT INTO campaign_audit (campaign, retailer, version, verb, caller)
SELECT id, :retailer, version, CASE state WHEN 'live' THEN 'activate' ELSE 'schedule' END, :caller FROM moved;

-- name: end_missing_campaigns$
WITH ended AS (
    UPDATE campaign c SET state = 'ended', version = version + 1, updated_at = candlemaker_now()
    WHERE c.retailer = :retailer AND c.state <> 'ended' AND NOT EXISTS (SELECT FROM staged s WHERE s.code = c.code)
    RETURNING id, version
), noted AS (
    INSERT INTO campaign_audit (campaign, retailer, version, verb, caller)
    SELECT id, :retailer, version, 'end', :caller FROM ended
)
SELECT count(*) FROM ended;
