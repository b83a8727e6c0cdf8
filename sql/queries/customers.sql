-- name: find_entries
-- The directory's answer for many ids at once: number and consent bits in one integer.
SELECT id, number << :shift::integer | consents AS entry FROM customer WHERE id = ANY(:ids::text[]);

-- name: find_names
-- The ids of many numbers at once.
SELECT number, id FROM customer WHERE number = ANY(:numbers::bigint[]);

-- name: get_customer^
SELECT number, id, zone, consents, created_at, quiet_from, quiet_until FROM customer WHERE id = :id;

-- name: get_by_number^
SELECT number, id, zone, consents FROM customer WHERE number = :number;

-- name: lock_customer^
SELECT number, consents FROM customer WHERE id = :id FOR UPDATE;

-- name: lock_customers
-- In the order of number: two batches cannot deadlock.
SELECT id, number, consents FROM customer WHERE id = ANY(:ids::text[]) ORDER BY number FOR UPDATE;

-- name: set_zones!
-- In the order of number, as everything that locks customers. A zone not given leaves the one there is.
UPDATE customer SET zone = given.zone
FROM (
    SELECT c.number, g.zone FROM unnest(:ids::text[], :zones::text[]) AS g (id, zone) JOIN customer c USING (id)
    WHERE g.zone IS NOT NULL AND c.zone IS DISTINCT FROM g.zone
    ORDER BY c.number FOR UPDATE OF c
) given
WHERE customer.number = given.number;

-- name: set_quiet_hours!
-- Minutes after midnight on the customer's own clock; NULL: none.
UPDATE customer SET quiet_from = :first, quiet_until = :end WHERE id = :id;

-- name: lock_counters
SELECT p, next_row FROM customer_counter WHERE p = ANY(:partitions::smallint[]) ORDER BY p FOR UPDATE;

-- name: insert_customers!
INSERT INTO customer (number, p, id, zone)
SELECT number, number % :count, id, zone
FROM unnest(:numbers::bigint[], :ids::text[], :zones::text[]) AS g (number, id, zone);

-- name: advance_counters!
UPDATE customer_counter SET next_row = g.next_row
FROM unnest(:partitions::smallint[], :rows::bigint[]) AS g (p, next_row) WHERE customer_counter.p = g.p;

-- name: change_consents!
-- The state and its history in one statement.
WITH given AS (
    SELECT * FROM unnest(:numbers::bigint[], :consents::integer[]) AS g (number, consents)
), changed AS (
    UPDATE customer SET consents = given.consents FROM given WHERE customer.number = given.number
    RETURNING customer.number, customer.consents
)
INSERT INTO consent_change (customer, consents, caller) SELECT number, consents, :caller FROM changed;

-- name: append_facts!
-- One fact a row, in the order given, which is the order of p.
SELECT append_fact(p, :kind, payload)
FROM (
    SELECT p, payload FROM unnest(:partitions::smallint[], :payloads::jsonb[]) WITH ORDINALITY AS g (p, payload, i)
    ORDER BY i
) ordered;

-- name: list_devices
SELECT name, platform, kind, state, registered_at FROM device WHERE customer = :customer ORDER BY id;

-- name: lock_registrations
-- A registration that two customers show at once has one last owner.
SELECT pg_advisory_xact_lock(hashtextextended(registration, 2))
FROM (SELECT registration FROM unnest(:registrations::text[]) AS registration ORDER BY registration) ordered;

-- name: release_registrations!
-- Whoever else has one of these registrations loses it.
UPDATE device SET state = 'removed'
FROM jsonb_to_recordset(:rows::jsonb) AS g (customer bigint, name text, registration text)
WHERE device.registration = g.registration AND device.state = 'active'
    AND (device.customer, device.name) <> (g.customer, g.name);

-- name: upsert_devices
INSERT INTO device (customer, name, platform, kind, registration)
SELECT g.customer, g.name, g.platform, g.kind, g.registration
FROM jsonb_to_recordset(:rows::jsonb) AS g (customer bigint, name text, platform text, kind text, registration text)
ORDER BY g.customer, g.name
ON CONFLICT (customer, name) DO UPDATE SET
    platform = excluded.platform, kind = excluded.kind, registration = excluded.registration, state = 'active',
    registered_at = candlemaker_now()
RETURNING name, platform, kind, state, registered_at;

-- name: remove_device$
UPDATE device SET state = 'removed' WHERE customer = :customer AND name = :name RETURNING id;
