-- name: upsert_stores
-- One statement an upload. In order of code, so that two uploads lock rows in the same order and cannot deadlock.
INSERT INTO store (retailer, code, name, lat, lng, cell, zone, country, opening_hours, address, closed, city, tags)
SELECT :retailer, s.code, s.name, s.lat, s.lng, s.cell, s.zone, s.country, s.opening_hours, s.address, s.closed, s.city,
    s.tags
FROM jsonb_to_recordset(:rows::jsonb) AS s(
    code text, name text, lat double precision, lng double precision, cell bigint, zone text, country char(2),
    opening_hours text, address text, closed boolean, city text, tags text[])
ORDER BY s.code
ON CONFLICT ON CONSTRAINT store_code_is_unique DO UPDATE SET
    name = excluded.name, lat = excluded.lat, lng = excluded.lng, cell = excluded.cell, zone = excluded.zone,
    country = excluded.country, opening_hours = excluded.opening_hours, address = excluded.address,
    closed = excluded.closed, city = excluded.city, tags = excluded.tags, updated_at = candlemaker_now()
RETURNING code, id, (xmax = 0) AS created;

-- name: list_stores
-- Row-level security narrows it to one retailer.
SELECT id, code, name, lat, lng, zone, country, opening_hours, address, closed, city, tags
FROM store WHERE id > :after ORDER BY id LIMIT :most;

-- name: get_store^
SELECT id, code, name, lat, lng, zone, country, opening_hours, address, closed, city, tags FROM store WHERE code = :code;

-- name: find_stores
-- Codes to ids; names the retailer because app routes see all.
SELECT code, id FROM store WHERE retailer = :retailer AND code = ANY(:codes::text[]);
