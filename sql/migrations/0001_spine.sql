-- The spine: everything PostgreSQL is the authority for.
-- Times are timestamptz; money is integer minor units with a currency; a customer is its number (row * P + p).

CREATE FUNCTION candlemaker_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    -- The database's clock plus the one offset that log time shares (tests and the demo set it).
    SELECT clock_timestamp()
        + coalesce(nullif(current_setting('candlemaker.clock_offset_ms', true), ''), '0')::bigint
          * interval '1 millisecond'
$$;

CREATE TABLE meta (
    name  text PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO meta VALUES ('partitions', '16'), ('partition_hash', 'xxh64');

-- ── Partitions, facts ────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE partition (
    p         smallint PRIMARY KEY CHECK (p >= 0),
    epoch     bigint NOT NULL DEFAULT 0,   -- raised by every owner that takes over
    position  bigint NOT NULL DEFAULT 0,   -- log position: ms << 20 | seq; all up to it is decided
    fact_seq  bigint NOT NULL DEFAULT 0,   -- facts up to it are in the committed state
    log_epoch text   NOT NULL DEFAULT '',  -- random name of the log; a mismatch means the log was lost
    reset_at  timestamptz                  -- when the log was last found lost
);
CREATE TABLE fact_counter (
    p    smallint PRIMARY KEY REFERENCES partition,
    last bigint NOT NULL DEFAULT 0
);
CREATE TABLE customer_counter (
    p        smallint PRIMARY KEY REFERENCES partition,
    next_row bigint NOT NULL DEFAULT 0
);
INSERT INTO partition (p) SELECT generate_series(0, 15);
INSERT INTO fact_counter (p) SELECT p FROM partition;
INSERT INTO customer_counter (p) SELECT p FROM partition;

CREATE TABLE fact (
    p       smallint NOT NULL REFERENCES partition,
    seq     bigint NOT NULL,
    kind    text NOT NULL CHECK (kind IN ('consent', 'purchase', 'outcome', 'grant', 'stop', 'forget')),
    payload jsonb NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (p, seq)
);

CREATE FUNCTION append_fact(which smallint, fact_kind text, what jsonb) RETURNS void LANGUAGE sql VOLATILE AS $$
    -- The counter's row lock is held to the end of the transaction, so facts become visible in the order of
    -- seq and without gaps. Call it last, and for several partitions in the order of p (no deadlocks).
    WITH next AS (UPDATE fact_counter SET last = last + 1 WHERE p = which RETURNING last)
    INSERT INTO fact (p, seq, kind, payload, at)
    SELECT which, next.last, fact_kind, what, candlemaker_now() FROM next
$$;

-- ── Tenants and keys ─────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE retailer (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL UNIQUE CHECK (name <> ''),
    currency   char(3) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT candlemaker_now()
);

CREATE TABLE api_key (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    prefix     text NOT NULL UNIQUE,        -- readable part, shown in lists and logs
    hash       bytea NOT NULL UNIQUE,       -- sha256 of the whole key; the key itself is shown once
    scope      text NOT NULL CHECK (scope IN ('admin', 'app', 'retailer', 'till')),
    retailer   bigint REFERENCES retailer,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT candlemaker_now(),
    revoked_at timestamptz,
    CONSTRAINT retailer_keys_name_their_retailer CHECK ((scope IN ('retailer', 'till')) = (retailer IS NOT NULL))
);

CREATE TABLE idempotency (
    caller     text NOT NULL,               -- 'key:7' or 'customer:112'
    key        text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    retailer   bigint REFERENCES retailer,
    request    bytea NOT NULL,              -- sha256 of method, path and body
    status     smallint NOT NULL,
    answer     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT candlemaker_now(),
    PRIMARY KEY (caller, key)
);

-- ── Stores, products, prices ─────────────────────────────────────────────────────────────────────────────────

CREATE TABLE store (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    retailer      bigint NOT NULL REFERENCES retailer,
    code          text NOT NULL CHECK (code <> ''),
    name          text NOT NULL CHECK (name <> ''),
    lat           double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    lng           double precision NOT NULL CHECK (lng BETWEEN -180 AND 180),
    cell          bigint NOT NULL,          -- leaf cell; H3's 64 bits fit a signed bigint
    zone          text NOT NULL,            -- IANA time zone
    country       char(2),
    opening_hours text,                     -- OSM syntax; NULL: unknown
    address       text,
    closed        boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT candlemaker_now(),
    updated_at    timestamptz NOT NULL DEFAULT candlemaker_now(),
    CONSTRAINT store_code_is_unique UNIQUE (retailer, code)
);
CREATE INDEX store_position ON store (lat, lng) WHERE NOT closed;   -- a search's bounding box

CREATE TABLE product (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    retailer   bigint NOT NULL REFERENCES retailer,
    code       text NOT NULL CHECK (code <> ''),
    gtin       text,
    name       text NOT NULL CHECK (name <> ''),
    brand      text,
    category   text,
    updated_at timestamptz NOT NULL DEFAULT candlemaker_now(),
    words      tsvector GENERATED ALWAYS AS (
        to_tsvector('simple', name || ' ' || coalesce(brand, '') || ' ' || coalesce(category, ''))) STORED,
    CONSTRAINT product_code_is_unique UNIQUE (retailer, code)
);
CREATE INDEX product_words ON product USING gin (words);
CREATE INDEX product_gtin ON product (gtin) WHERE gtin IS NOT NULL;

CREATE TABLE price (
    retailer         bigint NOT NULL REFERENCES retailer,
    product          bigint NOT NULL REFERENCES product ON DELETE CASCADE,
    store            bigint REFERENCES store ON DELETE CASCADE,   -- NULL: every store of the retailer
    price_minor      bigint NOT NULL CHECK (price_minor >= 0),
    sale_price_minor bigint CHECK (sale_price_minor BETWEEN 0 AND price_minor),
    sale_from        timestamptz,
    sale_until       timestamptz,
    currency         char(3) NOT NULL,
    availability     text NOT NULL DEFAULT 'in_stock'
        CHECK (availability IN ('in_stock', 'limited_availability', 'on_display_to_order', 'out_of_stock')),
    updated_at       timestamptz NOT NULL DEFAULT candlemaker_now(),
    CONSTRAINT one_price_a_store UNIQUE NULLS NOT DISTINCT (product, store)
);

-- ── Campaigns, budgets, snapshots ────────────────────────────────────────────────────────────────────────────

CREATE TABLE campaign_move (                -- the state table; docs are drawn from it
    state text NOT NULL,
    verb  text NOT NULL,
    becomes text NOT NULL,
    PRIMARY KEY (state, verb)
);
INSERT INTO campaign_move VALUES
    ('draft', 'activate', 'live'),
    ('draft', 'schedule', 'scheduled'),
    ('draft', 'end', 'ended'),
    ('scheduled', 'activate', 'live'),
    ('scheduled', 'pause', 'paused'),
    ('scheduled', 'end', 'ended'),
    ('scheduled', 'stop', 'ended'),
    ('live', 'pause', 'paused'),
    ('live', 'end', 'ended'),
    ('live', 'stop', 'ended'),
    ('paused', 'activate', 'live'),
    ('paused', 'end', 'ended'),
    ('paused', 'stop', 'ended');

CREATE TABLE campaign (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    retailer   bigint NOT NULL REFERENCES retailer,
    code       text NOT NULL CHECK (code <> ''),
    state      text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'scheduled', 'live', 'paused', 'ended')),
    stopped    boolean NOT NULL DEFAULT false,   -- a kill: queued messages are suppressed
    spec       jsonb NOT NULL,                   -- the validated upload (offers.campaign.Campaign)
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    version    integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT candlemaker_now(),
    updated_at timestamptz NOT NULL DEFAULT candlemaker_now(),
    CONSTRAINT campaign_code_is_unique UNIQUE (retailer, code),
    CONSTRAINT campaign_ends_after_it_starts CHECK (starts_at < ends_at),
    CONSTRAINT only_an_ended_campaign_is_stopped CHECK (NOT stopped OR state = 'ended')
);

CREATE FUNCTION campaign_moves_by_the_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> OLD.state AND NOT EXISTS (
        SELECT FROM campaign_move m WHERE m.state = OLD.state AND m.becomes = NEW.state) THEN
        RAISE EXCEPTION 'a % campaign cannot become %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'campaign_moves_by_the_table';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER campaign_moves_by_the_table BEFORE UPDATE OF state ON campaign
    FOR EACH ROW EXECUTE FUNCTION campaign_moves_by_the_table();

CREATE TABLE campaign_audit (               -- who changed what; append-only
    campaign bigint NOT NULL REFERENCES campaign,
    retailer bigint NOT NULL REFERENCES retailer,
    version  integer NOT NULL,
    verb     text NOT NULL,
    caller   text NOT NULL,
    at       timestamptz NOT NULL DEFAULT candlemaker_now(),
    PRIMARY KEY (campaign, version)
);

CREATE TABLE budget (
    campaign   bigint PRIMARY KEY REFERENCES campaign,
    retailer   bigint NOT NULL REFERENCES retailer,
    total      integer NOT NULL CHECK (total > 0),          -- coupons
    leased     integer NOT NULL DEFAULT 0,                  -- granted to partitions, spent or not
    starved_at timestamptz,                                 -- a partition asked in vain: others return their rest
    CONSTRAINT never_more_leased_than_the_budget CHECK (leased BETWEEN 0 AND total)
);

CREATE TABLE budget_block (
    campaign bigint NOT NULL REFERENCES budget,
    p        smallint NOT NULL REFERENCES partition,
    granted  integer NOT NULL DEFAULT 0,
    spent    integer NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign, p),
    CONSTRAINT never_more_spent_than_granted CHECK (spent BETWEEN 0 AND granted)
);

CREATE TABLE catalogue_change (             -- one row a changing statement; the compiler takes them
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    what text NOT NULL
);
CREATE FUNCTION note_catalogue_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO public.catalogue_change (what) VALUES (TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON store
    FOR EACH STATEMENT EXECUTE FUNCTION note_catalogue_change();
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON product
    FOR EACH STATEMENT EXECUTE FUNCTION note_catalogue_change();
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON campaign
    FOR EACH STATEMENT EXECUTE FUNCTION note_catalogue_change();

CREATE TABLE snapshot (
    revision bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    manifest jsonb NOT NULL,                -- part name → file digest
    built_at timestamptz NOT NULL DEFAULT candlemaker_now()
);

-- ── Customers ────────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE customer (
    number     bigint PRIMARY KEY,          -- row * P + p
    p          smallint NOT NULL REFERENCES partition,
    id         text NOT NULL UNIQUE CHECK (length(id) BETWEEN 1 AND 128),
    consents   integer NOT NULL DEFAULT 0,  -- bits: location 1, history 2, marketing_push 4, marketing_inapp 8,
                                            -- cross_retailer 16, measurement 32
    zone       text,                        -- IANA; NULL: unknown
    inbox_seq  bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT candlemaker_now()
);
CREATE INDEX customer_partition ON customer (p, number);

CREATE TABLE consent_change (               -- append-only
    customer bigint NOT NULL REFERENCES customer,
    at       timestamptz NOT NULL DEFAULT candlemaker_now(),
    consents integer NOT NULL,
    caller   text NOT NULL
);
CREATE INDEX consent_change_customer ON consent_change (customer, at);

CREATE TABLE device (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer      bigint NOT NULL REFERENCES customer,
    name          text NOT NULL CHECK (name <> ''),      -- the app's own id of the phone
    platform      text NOT NULL CHECK (platform IN ('android', 'ios', 'web')),
    kind          text NOT NULL CHECK (kind IN ('token', 'fid')),
    registration  text NOT NULL,
    state         text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'quarantined', 'removed')),
    registered_at timestamptz NOT NULL DEFAULT candlemaker_now(),
    UNIQUE (customer, name)
);
CREATE UNIQUE INDEX one_owner_a_registration ON device (registration) WHERE state = 'active';

CREATE TABLE purchase (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    retailer    bigint NOT NULL REFERENCES retailer,
    customer    bigint NOT NULL REFERENCES customer,
    p           smallint NOT NULL,
    receipt     text NOT NULL CHECK (receipt <> ''),
    store       bigint REFERENCES store,
    at          timestamptz NOT NULL,
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    currency    char(3) NOT NULL,
    CONSTRAINT receipt_is_unique UNIQUE (retailer, receipt)
);
CREATE INDEX purchase_partition ON purchase (p, at);
CREATE TABLE purchase_line (
    purchase     bigint NOT NULL REFERENCES purchase ON DELETE CASCADE,
    line         smallint NOT NULL,
    retailer     bigint NOT NULL REFERENCES retailer,
    product      bigint NOT NULL REFERENCES product,
    quantity     integer NOT NULL CHECK (quantity BETWEEN 1 AND 100000),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    PRIMARY KEY (purchase, line)
);

-- ── Decisions, coupons, messages ─────────────────────────────────────────────────────────────────────────────

CREATE TABLE decision (
    id         uuid PRIMARY KEY,            -- hash of (customer, event)
    p          smallint NOT NULL,
    position   bigint NOT NULL,             -- of the log entry that was decided
    customer   bigint NOT NULL REFERENCES customer,
    trigger    text NOT NULL CHECK (trigger IN ('enter', 'dwell', 'search')),
    occasion   uuid NOT NULL,               -- visit or search
    campaign   bigint NOT NULL REFERENCES campaign,
    retailer   bigint NOT NULL REFERENCES retailer,
    store      bigint NOT NULL REFERENCES store,
    cell       bigint NOT NULL,             -- coarse cell (res 7): the finest place stored
    event_at   timestamptz NOT NULL,        -- phone's time of the event
    logged_at  timestamptz NOT NULL,        -- log time of the entry
    decided_at timestamptz NOT NULL,
    terms      jsonb NOT NULL,              -- why this offer: score terms
    held       jsonb NOT NULL,              -- the other candidates: campaign, reason
    refunded   boolean NOT NULL DEFAULT false,
    CONSTRAINT one_decision_an_occasion UNIQUE (customer, campaign, occasion)
);
CREATE INDEX decision_partition ON decision (p, logged_at);
CREATE INDEX decision_campaign ON decision (campaign);

CREATE TABLE budget_ledger (                -- append-only; one debit and at most one refund a decision
    campaign bigint NOT NULL REFERENCES campaign,
    p        smallint NOT NULL,
    decision uuid NOT NULL REFERENCES decision,
    kind     text NOT NULL CHECK (kind IN ('debit', 'refund')),
    at       timestamptz NOT NULL,
    PRIMARY KEY (decision, kind)
);
CREATE INDEX budget_ledger_campaign ON budget_ledger (campaign, p);

CREATE TABLE coupon (
    id          uuid PRIMARY KEY,
    decision    uuid NOT NULL UNIQUE REFERENCES decision,
    retailer    bigint NOT NULL REFERENCES retailer,
    campaign    bigint NOT NULL REFERENCES campaign,
    store       bigint NOT NULL REFERENCES store,
    customer    bigint NOT NULL REFERENCES customer,
    code_hash   bytea NOT NULL,             -- sha256 of the code; the code is an HMAC under a key outside
    offer       jsonb NOT NULL,
    state       text NOT NULL DEFAULT 'issued' CHECK (state IN ('issued', 'redeemed', 'void')),
    issued_at   timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    redeemed_at timestamptz,
    CONSTRAINT code_is_unique_a_retailer UNIQUE (retailer, code_hash),
    CONSTRAINT redeemed_has_a_time CHECK ((state = 'redeemed') = (redeemed_at IS NOT NULL))
);
CREATE INDEX coupon_customer ON coupon (customer, issued_at DESC);

CREATE TABLE redemption (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    coupon         uuid NOT NULL UNIQUE REFERENCES coupon,
    retailer       bigint NOT NULL REFERENCES retailer,
    store          bigint REFERENCES store,
    till           text NOT NULL,
    basket_minor   bigint NOT NULL CHECK (basket_minor >= 0),
    discount_minor bigint NOT NULL CHECK (discount_minor BETWEEN 0 AND basket_minor),
    currency       char(3) NOT NULL,
    at             timestamptz NOT NULL DEFAULT candlemaker_now()
);

CREATE TABLE message (                      -- the outbox: one decision on its way through one channel
    id           uuid PRIMARY KEY,
    decision     uuid NOT NULL REFERENCES decision,
    customer     bigint NOT NULL REFERENCES customer,
    campaign     bigint NOT NULL REFERENCES campaign,
    occasion     uuid NOT NULL,
    channel      text NOT NULL CHECK (channel IN ('fcm', 'inapp')),
    state        text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'leased', 'sent', 'failed', 'expired', 'unknown', 'suppressed')),
    title        text NOT NULL,
    body         text NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    ambiguous    boolean NOT NULL DEFAULT false,   -- an attempt's outcome is unknown: it may have been shown
    not_before   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    first_tried_at timestamptz,
    leased_by    text,
    leased_until timestamptz,
    reason       text,
    provider_id  text,
    settled_at   timestamptz,
    CONSTRAINT one_message_an_occasion_and_channel UNIQUE (customer, campaign, occasion, channel)
);
CREATE INDEX message_due ON message (not_before) WHERE state = 'queued';
CREATE INDEX message_leased ON message (leased_until) WHERE state = 'leased';
CREATE INDEX message_decision ON message (decision);

CREATE TABLE inbox (                        -- what the in-app stream shows; seq is the Last-Event-ID
    customer   bigint NOT NULL REFERENCES customer,
    seq        bigint NOT NULL,
    message    uuid NOT NULL UNIQUE REFERENCES message,
    decision   uuid NOT NULL REFERENCES decision,
    title      text NOT NULL,
    body       text NOT NULL,
    at         timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (customer, seq)
);

CREATE TABLE receipt (                      -- delivery receipts of the phones
    decision uuid NOT NULL REFERENCES decision,
    customer bigint NOT NULL REFERENCES customer,
    kind     text NOT NULL CHECK (kind IN ('delivered', 'shown', 'opened', 'dismissed')),
    channel  text NOT NULL CHECK (channel IN ('fcm', 'inapp')),
    at       timestamptz NOT NULL DEFAULT candlemaker_now(),
    PRIMARY KEY (decision, kind, channel)
);

CREATE TABLE tally (                        -- counted, not stored: pings, triggers, silences by reason
    p        smallint NOT NULL,
    day      date NOT NULL,
    campaign bigint NOT NULL DEFAULT 0,     -- 0: of no campaign
    name     text NOT NULL,                 -- 'ping.accepted', 'trigger.enter', 'reason.cap_reached', …
    n        bigint NOT NULL,
    PRIMARY KEY (p, day, campaign, name)
);

-- ── Who may see what ─────────────────────────────────────────────────────────────────────────────────────────
-- Two roles, neither owns a table: candlemaker_engine (matcher, sender, app routes) sees all rows,
-- candlemaker_tenant (requests of retailers and tills) only those of the retailer named in the transaction.

GRANT USAGE ON SCHEMA public TO candlemaker_engine, candlemaker_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO candlemaker_engine;
REVOKE UPDATE, DELETE ON campaign_audit, consent_change, budget_ledger FROM candlemaker_engine;
REVOKE INSERT, UPDATE, DELETE ON meta, campaign_move FROM candlemaker_engine;
GRANT SELECT ON campaign_move, meta TO candlemaker_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON store, product, price TO candlemaker_tenant;
GRANT SELECT, INSERT, UPDATE ON campaign, budget, coupon TO candlemaker_tenant;
GRANT SELECT, INSERT ON campaign_audit, redemption, idempotency TO candlemaker_tenant;
GRANT SELECT ON api_key TO candlemaker_tenant;
-- A stop is a fact for every partition, written in the stop's own transaction.
GRANT SELECT, UPDATE ON fact_counter TO candlemaker_tenant;
GRANT SELECT, INSERT ON fact TO candlemaker_tenant;

DO $$
DECLARE owned text;
BEGIN
    FOR owned IN
        SELECT c.table_name FROM information_schema.columns c
        JOIN information_schema.tables t USING (table_schema, table_name)
        WHERE c.table_schema = 'public' AND c.column_name = 'retailer' AND t.table_type = 'BASE TABLE'
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', owned);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', owned);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO candlemaker_engine USING (true) WITH CHECK (true)', owned);
        EXECUTE format(
            'CREATE POLICY tenant_sees_its_own ON %I TO candlemaker_tenant '
            'USING (retailer = nullif(current_setting(''candlemaker.retailer'', true), '''')::bigint) '
            'WITH CHECK (retailer = nullif(current_setting(''candlemaker.retailer'', true), '''')::bigint)', owned);
    END LOOP;
END $$;
ALTER TABLE retailer ENABLE ROW LEVEL SECURITY;
ALTER TABLE retailer FORCE ROW LEVEL SECURITY;
CREATE POLICY engine_sees_all ON retailer TO candlemaker_engine USING (true) WITH CHECK (true);
CREATE POLICY tenant_sees_itself ON retailer TO candlemaker_tenant
    USING (id = nullif(current_setting('candlemaker.retailer', true), '')::bigint);
GRANT SELECT ON retailer TO candlemaker_tenant;
-- Facts carry no tenant: a tenant may only write, never read them.
ALTER TABLE fact ENABLE ROW LEVEL SECURITY;
ALTER TABLE fact FORCE ROW LEVEL SECURITY;
CREATE POLICY engine_sees_all ON fact TO candlemaker_engine USING (true) WITH CHECK (true);
CREATE POLICY tenant_stops ON fact FOR INSERT TO candlemaker_tenant WITH CHECK (kind = 'stop');
