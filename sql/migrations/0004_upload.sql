-- Uploads: what a retailer sends is kept until it is stored or refused; what it may name besides codes; lists of codes.

CREATE TABLE upload (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),   -- a number would tell a retailer how much its neighbours send
    retailer    bigint NOT NULL REFERENCES retailer,
    kind        text NOT NULL CHECK (kind IN ('stores', 'products', 'prices', 'campaigns', 'areas', 'codes')),
    format      text NOT NULL CHECK (format IN ('json', 'ndjson', 'csv', 'tsv', 'geojson')),
    gzip        boolean NOT NULL DEFAULT false,
    replaces    boolean NOT NULL DEFAULT false,   -- ends what is not in it
    dry_run     boolean NOT NULL DEFAULT false,   -- stores nothing, tells what it would
    activates   boolean NOT NULL DEFAULT false,   -- campaigns: live, or scheduled, in the same transaction
    state       text NOT NULL DEFAULT 'receiving'
        CHECK (state IN ('receiving', 'queued', 'running', 'done', 'rejected', 'failed')),
    bytes       bigint NOT NULL DEFAULT 0,        -- received
    bytes_read  bigint NOT NULL DEFAULT 0,        -- of those, checked so far
    rows        bigint NOT NULL DEFAULT 0,        -- seen so far
    rejected    bigint NOT NULL DEFAULT 0,        -- of those, with a fault
    created     bigint,                           -- the difference: made, or that would be made
    updated     bigint,
    unchanged   bigint,
    ended       bigint,
    reason      text,                             -- of a failure
    caller      text NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT candlemaker_now(),
    queued_at   timestamptz,
    started_at  timestamptz,
    finished_at timestamptz,
    CONSTRAINT only_campaigns_are_activated CHECK (NOT activates OR kind = 'campaigns'),
    CONSTRAINT a_difference_is_whole CHECK (state <> 'done'
        OR (created IS NOT NULL AND updated IS NOT NULL AND unchanged IS NOT NULL AND ended IS NOT NULL))
);
CREATE INDEX upload_retailer ON upload (retailer, created_at DESC, id);
CREATE INDEX upload_waiting ON upload (queued_at) WHERE state IN ('queued', 'running');

CREATE TABLE upload_part (                  -- the body as it came, a megabyte a row, until the upload has ended
    upload   uuid NOT NULL REFERENCES upload ON DELETE CASCADE,
    retailer bigint NOT NULL REFERENCES retailer,
    n        integer NOT NULL CHECK (n >= 0),
    content  bytea NOT NULL,
    PRIMARY KEY (upload, n)
);
ALTER TABLE upload_part ALTER COLUMN content SET STORAGE EXTERNAL;   -- gzip gains nothing by being compressed again

CREATE TABLE upload_fault (                 -- why rows were rejected; what an upload has of them beyond a bound is counted only
    upload   uuid NOT NULL REFERENCES upload ON DELETE CASCADE,
    retailer bigint NOT NULL REFERENCES retailer,
    n        integer NOT NULL,
    "row"    bigint,                        -- from 1, without the header; NULL: the file as a whole
    "column" text,
    code     text NOT NULL,
    detail   text NOT NULL,
    PRIMARY KEY (upload, n)
);

-- ── What stores, products and prices tell besides ────────────────────────────────────────────────────────────

ALTER TABLE store
    ADD COLUMN city text,
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}';
ALTER TABLE product ADD COLUMN ended boolean NOT NULL DEFAULT false;   -- purchases name it, so it stays

ALTER TABLE price
    ADD COLUMN quantity integer CHECK (quantity >= 0),
    ADD COLUMN pickup_method text CHECK (pickup_method IN ('buy', 'reserve', 'ship_to_store', 'not_supported')),
    ADD COLUMN pickup_sla text CHECK (pickup_sla IN (
        'same_day', 'next_day', '2_day', '3_day', '4_day', '5_day', '6_day', '7_day', 'multi_week')),
    -- Ten million rows are stored by one statement that joins product and store, which proves the same; row by row the
    -- proof took longer than all the rest. Both are ended, never deleted, see the grants below.
    DROP CONSTRAINT price_retailer_fkey,
    DROP CONSTRAINT price_product_fkey,
    DROP CONSTRAINT price_store_fkey,
    DROP CONSTRAINT one_price_a_store,
    -- The retailer first: an upload reads and writes one retailer's prices.
    ADD CONSTRAINT one_price_a_store UNIQUE NULLS NOT DISTINCT (retailer, product, store);
REVOKE DELETE ON store, product FROM candlemaker_engine, candlemaker_tenant;

CREATE FUNCTION prices_name_what_there_is() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM fresh f
        LEFT JOIN product p ON p.id = f.product AND p.retailer = f.retailer
        LEFT JOIN store s ON s.id = f.store AND s.retailer = f.retailer
        WHERE p.id IS NULL OR (f.store IS NOT NULL AND s.id IS NULL)) THEN
        RAISE EXCEPTION 'a price names a product or store that its retailer does not have'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'prices_name_what_there_is';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER prices_name_what_there_is AFTER INSERT ON price REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION prices_name_what_there_is();
REVOKE UPDATE ON price FROM candlemaker_engine, candlemaker_tenant;   -- what a price is of never changes
GRANT UPDATE (price_minor, sale_price_minor, sale_from, sale_until, currency, availability, quantity, pickup_method,
              pickup_sla, updated_at) ON price TO candlemaker_engine, candlemaker_tenant;

-- ── Fences a retailer draws once and names in many campaigns ─────────────────────────────────────────────────

CREATE TABLE area (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    retailer   bigint NOT NULL REFERENCES retailer,
    code       text NOT NULL CHECK (code <> ''),
    store      text NOT NULL,               -- the code of the store whose surroundings it is
    name       text,
    geometry   jsonb NOT NULL,              -- GeoJSON Polygon or MultiPolygon
    ended      boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT candlemaker_now(),
    CONSTRAINT area_code_is_unique UNIQUE (retailer, code),
    CONSTRAINT area_belongs_to_a_store FOREIGN KEY (retailer, store) REFERENCES store (retailer, code)
);
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON area
    FOR EACH STATEMENT EXECUTE FUNCTION note_catalogue_change();

-- ── Coupon codes of the retailer's own making ────────────────────────────────────────────────────────────────

CREATE TABLE coupon_code (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    retailer  bigint NOT NULL REFERENCES retailer,
    campaign  bigint NOT NULL REFERENCES campaign,
    code_hash bytea NOT NULL,               -- sha256, as a coupon's
    sealed    bytea NOT NULL,               -- the code under a key outside the database: a dump shows none
    coupon    uuid UNIQUE,                  -- whose it is; NULL: still to be given
    CONSTRAINT own_code_is_unique UNIQUE (retailer, code_hash)
);
CREATE INDEX coupon_code_free ON coupon_code (campaign, id) WHERE coupon IS NULL;

CREATE FUNCTION coupon_takes_a_code() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    taken bytea;
BEGIN
    -- The next code of the campaign's list, if it has one; SKIP LOCKED, so that partitions do not wait for each other.
    UPDATE coupon_code SET coupon = NEW.id
    WHERE id = (SELECT id FROM coupon_code WHERE campaign = NEW.campaign AND coupon IS NULL
                ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING code_hash INTO taken;
    IF taken IS NOT NULL THEN
        NEW.code_hash := taken;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER coupon_takes_a_code BEFORE INSERT ON coupon
    FOR EACH ROW EXECUTE FUNCTION coupon_takes_a_code();

CREATE FUNCTION void_coupon_gives_its_code_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A coupon is void when nothing of it went out, so nobody has seen the code. Its own row keeps another hash.
    UPDATE coupon_code SET coupon = NULL WHERE coupon = NEW.id;
    IF FOUND THEN
        NEW.code_hash := sha256(uuid_send(NEW.id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER void_coupon_gives_its_code_back BEFORE UPDATE OF state ON coupon
    FOR EACH ROW WHEN (NEW.state = 'void' AND OLD.state <> 'void')
    EXECUTE FUNCTION void_coupon_gives_its_code_back();

-- ── Who may see what ─────────────────────────────────────────────────────────────────────────────────────────

GRANT SELECT, INSERT, UPDATE, DELETE ON upload, upload_part, upload_fault, area, coupon_code TO candlemaker_engine;
GRANT SELECT, INSERT, UPDATE ON area TO candlemaker_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON upload TO candlemaker_tenant;
GRANT SELECT, INSERT, DELETE ON upload_part, upload_fault, coupon_code TO candlemaker_tenant;

DO $$
DECLARE owned text;
BEGIN
    FOREACH owned IN ARRAY ARRAY['upload', 'upload_part', 'upload_fault', 'area', 'coupon_code'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', owned);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', owned);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO candlemaker_engine USING (true) WITH CHECK (true)', owned);
        EXECUTE format(
            'CREATE POLICY tenant_sees_its_own ON %I TO candlemaker_tenant '
            'USING (retailer = nullif(current_setting(''candlemaker.retailer'', true), '''')::bigint) '
            'WITH CHECK (retailer = nullif(current_setting(''candlemaker.retailer'', true), '''')::bigint)', owned);
    END LOOP;
END $$;
