-- The outbox for a million messages at once. A message is written once and never updated: what it waits for stands in its
-- chunk (at most 1,000 messages that are leased together), what came of it in its outcome. Messages and outcomes lie in day
-- partitions, which are dropped when they are old.

CREATE TABLE chunk (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day          date NOT NULL,              -- partition of its messages
    channel      text NOT NULL CHECK (channel IN ('fcm', 'inapp')),
    lane         text NOT NULL CHECK (lane IN ('transactional', 'triggered', 'bulk')),
    campaign     bigint,                     -- of all its messages; NULL: several
    size         smallint NOT NULL CHECK (size BETWEEN 1 AND 1000),
    cursor       smallint NOT NULL DEFAULT 0, -- written ahead: only messages up to it may have reached the wire
    due_at       timestamptz NOT NULL,
    leased_by    text,
    leased_until timestamptz,
    CONSTRAINT cursor_within_the_chunk CHECK (cursor BETWEEN 0 AND size),
    CONSTRAINT a_lease_has_an_end CHECK ((leased_by IS NULL) = (leased_until IS NULL))
);
CREATE INDEX chunk_due ON chunk (channel, lane, due_at) WHERE leased_by IS NULL;
CREATE INDEX chunk_leased ON chunk (leased_until) WHERE leased_by IS NOT NULL;
CREATE INDEX chunk_day ON chunk (day);

ALTER TABLE inbox DROP CONSTRAINT inbox_message_fkey;
ALTER TABLE message RENAME TO message_before;
ALTER INDEX message_pkey RENAME TO message_before_pkey;
DROP INDEX message_due, message_leased, message_decision;

-- No foreign keys: a message is written by the statement that writes its decision, and a partition must be free to go.
CREATE TABLE message (
    day        date NOT NULL,
    chunk      bigint NOT NULL,
    seq        smallint NOT NULL,            -- place in its chunk, from 1
    id         uuid NOT NULL,                -- the same in every chunk that a retry puts it into
    decision   uuid,                         -- NULL: transactional, nobody decided it
    customer   bigint NOT NULL,
    campaign   bigint,
    occasion   uuid,
    channel    text NOT NULL,
    title      text,                         -- NULL: the campaign's
    body       text,
    data       jsonb,                        -- of a transactional message, handed to the app
    expires_at timestamptz NOT NULL,
    attempts   smallint NOT NULL DEFAULT 0,
    ambiguous  boolean NOT NULL DEFAULT false,   -- an earlier attempt may have been shown
    first_tried_at timestamptz,
    PRIMARY KEY (day, chunk, seq)
) PARTITION BY RANGE (day);
CREATE INDEX message_decision ON message (decision) WHERE decision IS NOT NULL;

-- What came of it. `requeued`: it waits again, in a later chunk, under the same id.
CREATE TABLE outcome (
    day         date NOT NULL,
    chunk       bigint NOT NULL,
    seq         smallint NOT NULL,
    state       text NOT NULL CHECK (state IN ('sent', 'failed', 'expired', 'unknown', 'suppressed', 'requeued')),
    reason      text NOT NULL,
    provider_id text NOT NULL,
    attempts    smallint NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (day, chunk, seq)
) PARTITION BY RANGE (day);

-- Rows of a day for which no partition was made in time; nothing is refused for that.
CREATE TABLE message_rest PARTITION OF message DEFAULT;
CREATE TABLE outcome_rest PARTITION OF outcome DEFAULT;

CREATE FUNCTION outbox_days(first date, last date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
-- Makes the partitions of these days; answers how many were new. A day whose rows lie in the rest already stays there.
DECLARE
    each date;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('candlemaker.outbox_days'));
    FOR each IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        IF to_regclass(format('public.message_%s', to_char(each, 'YYYYMMDD'))) IS NULL
           AND NOT EXISTS (SELECT FROM message_rest WHERE day = each)
           AND NOT EXISTS (SELECT FROM outcome_rest WHERE day = each) THEN
            EXECUTE format('CREATE TABLE public.message_%s PARTITION OF public.message FOR VALUES FROM (%L) TO (%L)',
                           to_char(each, 'YYYYMMDD'), each, each + 1);
            EXECUTE format('CREATE TABLE public.outcome_%s PARTITION OF public.outcome FOR VALUES FROM (%L) TO (%L)',
                           to_char(each, 'YYYYMMDD'), each, each + 1);
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

CREATE FUNCTION drop_outbox_days(before date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
-- Drops the partitions of days before this one of which nothing waits any more; answers how many.
DECLARE
    each date;
    dropped integer := 0;
BEGIN
    PERFORM set_config('lock_timeout', '2s', true);   -- rather another time than everybody waiting behind us
    FOR each IN
        SELECT to_date(substr(c.relname, 9), 'YYYYMMDD') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.message'::regclass AND c.relname ~ '^message_[0-9]{8}$' ORDER BY 1
    LOOP
        CONTINUE WHEN each >= before OR EXISTS (SELECT FROM chunk WHERE day = each);
        EXECUTE format('DROP TABLE public.message_%s, public.outcome_%s', to_char(each, 'YYYYMMDD'), to_char(each, 'YYYYMMDD'));
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

SELECT outbox_days(candlemaker_now()::date - 1, candlemaker_now()::date + 2);

-- What waited or ended before: one chunk a message that waits, outcomes of the others.
WITH kept AS (
    SELECT *, row_number() OVER (ORDER BY not_before, id) AS n FROM message_before
), placed AS (
    INSERT INTO chunk (day, channel, lane, size, due_at)
    SELECT candlemaker_now()::date, channel, 'triggered', 1, not_before FROM kept
    WHERE state IN ('queued', 'leased') ORDER BY n
    RETURNING id
), numbered AS (
    SELECT id AS chunk, row_number() OVER (ORDER BY id) AS n FROM placed
), waiting AS (
    SELECT *, row_number() OVER (ORDER BY n) AS place FROM kept WHERE state IN ('queued', 'leased')
)
INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, occasion, channel, title, body, expires_at, attempts,
                     ambiguous, first_tried_at)
SELECT candlemaker_now()::date, numbered.chunk, 1, w.id, decision, customer, campaign, occasion, channel, title, body,
       expires_at, attempts, ambiguous OR (state = 'leased' AND channel = 'fcm'), first_tried_at
FROM waiting w JOIN numbered ON numbered.n = w.place;

WITH ended AS (
    SELECT *, row_number() OVER (ORDER BY settled_at, id) AS n FROM message_before
    WHERE state NOT IN ('queued', 'leased') AND settled_at > candlemaker_now() - interval '90 days'
), messages AS (
    -- Chunks below zero never were: their messages ended before there were chunks.
    INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, occasion, channel, title, body, expires_at,
                         attempts, ambiguous, first_tried_at)
    SELECT candlemaker_now()::date, -1 - n / 1000, 1 + n % 1000, id, decision, customer, campaign, occasion, channel, title,
           body, expires_at, attempts, ambiguous, first_tried_at
    FROM ended
)
INSERT INTO outcome (day, chunk, seq, state, reason, provider_id, attempts, at)
SELECT candlemaker_now()::date, -1 - n / 1000, 1 + n % 1000, state, coalesce(reason, ''), coalesce(provider_id, ''), attempts,
       settled_at
FROM ended;
DROP TABLE message_before;

-- Where each message is: the one of its rows that was not put into a later chunk.
CREATE VIEW message_state AS
SELECT m.day, m.chunk, m.seq, m.id, m.decision, m.customer, m.campaign, m.occasion, m.channel, m.title, m.body, m.expires_at,
    coalesce(o.state, CASE WHEN m.seq <= c.cursor THEN 'leased' ELSE 'queued' END) AS state,
    coalesce(o.reason, '') AS reason, coalesce(o.provider_id, '') AS provider_id,
    coalesce(o.attempts, m.attempts) AS attempts, m.ambiguous, m.first_tried_at, o.at AS settled_at, c.due_at
FROM message m
LEFT JOIN outcome o ON o.day = m.day AND o.chunk = m.chunk AND o.seq = m.seq
LEFT JOIN chunk c ON c.id = m.chunk
WHERE o.state IS DISTINCT FROM 'requeued';

-- ── Devices and people, as the sender asks for them ──────────────────────────────────────────────────────────

ALTER TABLE device ADD COLUMN state_at timestamptz NOT NULL DEFAULT candlemaker_now();  -- since when it is in its state
CREATE INDEX device_customer ON device (customer, registered_at DESC) WHERE state = 'active';

ALTER TABLE customer
    ADD COLUMN quiet_from  smallint CHECK (quiet_from BETWEEN 0 AND 1439),   -- minutes after midnight in the person's zone
    ADD COLUMN quiet_until smallint CHECK (quiet_until BETWEEN 0 AND 1439),
    ADD CONSTRAINT quiet_hours_have_both_ends CHECK ((quiet_from IS NULL) = (quiet_until IS NULL));
CREATE INDEX customer_zone ON customer (zone, number);

-- ── The decision transaction writes chunks now ───────────────────────────────────────────────────────────────

-- turn: {"moves": [{p, epoch, position, becomes, fact_seq}], "decisions": […], "refunds": [{p, campaign, decision}],
--        "returns": [{p, campaign, n}], "tally": [{p, campaign, name, n}]}
-- Answers the ids of the decisions that were not there before. SQLSTATE CM001, with the partitions in DETAIL, when one has
-- another owner: then nothing is written.
CREATE OR REPLACE FUNCTION candlemaker_commit(turn jsonb) RETURNS SETOF uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    lost text;
    today date := candlemaker_now()::date;
BEGIN
    -- Positions first: a partition whose row does not move has another owner.
    WITH given AS (
        SELECT * FROM jsonb_to_recordset(turn->'moves')
            AS m(p smallint, epoch bigint, position bigint, becomes bigint, fact_seq bigint)
    ), moved AS (
        UPDATE partition SET position = given.becomes, fact_seq = given.fact_seq FROM given
        WHERE partition.p = given.p AND partition.epoch = given.epoch AND partition.position = given.position
        RETURNING partition.p
    )
    SELECT string_agg(given.p::text, ',') INTO lost FROM given LEFT JOIN moved USING (p) WHERE moved.p IS NULL;
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION 'another owner' USING ERRCODE = 'CM001', DETAIL = lost;
    END IF;

    -- One decision writes: itself, its coupon, its debit, one message a consented channel, and its partition's block.
    -- `fresh` is what was not there before; nothing else of a decision is written twice either. One event may come twice in
    -- one transaction, too: a report repeated after its customer withdrew consent and gave it anew.
    IF jsonb_array_length(turn->'decisions') > 0 THEN
        RETURN QUERY
        WITH given AS (
            SELECT DISTINCT ON (id) * FROM jsonb_to_recordset(turn->'decisions') AS d(
                id uuid, p smallint, position bigint, customer bigint, consents integer, trigger text, occasion uuid,
                campaign bigint, retailer bigint, store bigint, cell bigint, event_at double precision,
                logged_at double precision, terms jsonb, held jsonb, coupon uuid, code_hash text, offer jsonb,
                valid_until double precision, push uuid, inapp uuid, title text, body text)
        ), fresh AS (
            INSERT INTO decision (id, p, position, customer, trigger, occasion, campaign, retailer, store, cell,
                                  event_at, logged_at, decided_at, terms, held)
            SELECT id, p, position, customer, trigger, occasion, campaign, retailer, store, cell,
                   to_timestamp(event_at / 1000), to_timestamp(logged_at / 1000), candlemaker_now(), terms, held
            FROM given
            ON CONFLICT DO NOTHING
            RETURNING id
        ), kept AS (
            SELECT given.* FROM given JOIN fresh USING (id)
        ), coupons AS (
            INSERT INTO coupon (id, decision, retailer, campaign, store, customer, code_hash, offer, issued_at, valid_until)
            SELECT coupon, id, retailer, campaign, store, customer, decode(code_hash, 'hex'), offer,
                   candlemaker_now(), to_timestamp(valid_until / 1000)
            FROM kept
        ), debits AS (
            INSERT INTO budget_ledger (campaign, p, decision, kind, at)
            SELECT campaign, p, id, 'debit', candlemaker_now() FROM kept
        ), spent AS (
            UPDATE budget_block b SET spent = b.spent + k.n
            FROM (SELECT campaign, p, count(*) AS n FROM kept GROUP BY campaign, p) k
            WHERE b.campaign = k.campaign AND b.p = k.p
        ), numbered AS (
            -- One channel's messages of a turn share chunks of at most 1,000.
            SELECT channel.id AS message, kept.*, channel.name AS channel,
                (row_number() OVER (PARTITION BY channel.name ORDER BY kept.position, kept.id) - 1) / 1000 AS part,
                (row_number() OVER (PARTITION BY channel.name ORDER BY kept.position, kept.id) - 1) % 1000 + 1 AS seq
            FROM kept CROSS JOIN LATERAL (VALUES (push, 'fcm', 4), (inapp, 'inapp', 8)) AS channel (id, name, bit)
            WHERE consents & channel.bit <> 0
        ), sized AS (
            SELECT channel, part, count(*) AS size, nextval(pg_get_serial_sequence('chunk', 'id')) AS chunk
            FROM numbered GROUP BY channel, part
        ), chunks AS (
            INSERT INTO chunk (id, day, channel, lane, size, due_at) OVERRIDING SYSTEM VALUE
            SELECT chunk, today, channel, 'triggered', size, candlemaker_now() FROM sized
        ), messages AS (
            INSERT INTO message (day, chunk, seq, id, decision, customer, campaign, occasion, channel, title, body, expires_at)
            SELECT today, s.chunk, n.seq, n.message, n.id, n.customer, n.campaign, n.occasion, n.channel, n.title, n.body,
                   to_timestamp(n.valid_until / 1000)
            FROM numbered n JOIN sized s USING (channel, part)
        )
        SELECT fresh.id FROM fresh;
    END IF;

    -- Outcome facts of decisions of which nothing went out; the ledger's key allows one refund each.
    IF jsonb_array_length(turn->'refunds') > 0 THEN
        WITH given AS (
            SELECT * FROM jsonb_to_recordset(turn->'refunds') AS g(p smallint, campaign bigint, decision uuid)
        ), fresh AS (
            INSERT INTO budget_ledger (campaign, p, decision, kind, at)
            SELECT campaign, p, decision, 'refund', candlemaker_now() FROM given
            ON CONFLICT DO NOTHING
            RETURNING campaign, p, decision
        ), marked AS (
            UPDATE decision SET refunded = true FROM fresh WHERE decision.id = fresh.decision
        )
        UPDATE budget_block b SET spent = b.spent - f.n
        FROM (SELECT campaign, p, count(*) AS n FROM fresh GROUP BY campaign, p) f
        WHERE b.campaign = f.campaign AND b.p = f.p;
    END IF;

    -- Coupons of blocks nobody spends go back to the budget, where a starved partition finds them.
    IF jsonb_array_length(turn->'returns') > 0 THEN
        WITH given AS (
            SELECT * FROM jsonb_to_recordset(turn->'returns') AS g(p smallint, campaign bigint, n integer)
        ), blocks AS (
            UPDATE budget_block b SET granted = b.granted - g.n FROM given g WHERE b.campaign = g.campaign AND b.p = g.p
        )
        UPDATE budget SET leased = leased - g.n
        FROM (SELECT campaign, sum(n) AS n FROM given GROUP BY campaign) g
        WHERE budget.campaign = g.campaign;
    END IF;

    -- Counters; in the order of their key, so that two owners never wait for each other in a circle.
    INSERT INTO tally (p, day, campaign, name, n)
    SELECT g.p, candlemaker_now()::date, g.campaign, g.name, g.n
    FROM jsonb_to_recordset(turn->'tally') AS g(p smallint, campaign bigint, name text, n bigint)
    ORDER BY g.p, g.campaign, g.name
    ON CONFLICT (p, day, campaign, name) DO UPDATE SET n = tally.n + excluded.n;
END
$$;


GRANT SELECT, INSERT, UPDATE, DELETE ON chunk TO candlemaker_engine;
GRANT SELECT, INSERT ON message, outcome TO candlemaker_engine;
GRANT SELECT ON message_state TO candlemaker_engine;
GRANT USAGE ON SEQUENCE chunk_id_seq TO candlemaker_engine;
REVOKE EXECUTE ON FUNCTION outbox_days(date, date), drop_outbox_days(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION outbox_days(date, date), drop_outbox_days(date) TO candlemaker_engine;
