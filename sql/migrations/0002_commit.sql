-- The decision transaction as one call, so that its five statements cost one round trip: an owner that waits for the answer
-- of each waits five times for its turn on a busy machine, and one paused between two holds locked rows.

-- turn: {"moves": [{p, epoch, position, becomes, fact_seq}], "decisions": […], "refunds": [{p, campaign, decision}],
--        "returns": [{p, campaign, n}], "tally": [{p, campaign, name, n}]}
-- Answers the ids of the decisions that were not there before. SQLSTATE CM001, with the partitions in DETAIL, when one has
-- another owner: then nothing is written.
CREATE FUNCTION candlemaker_commit(turn jsonb) RETURNS SETOF uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    lost text;
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
        ), messages AS (
            INSERT INTO message (id, decision, customer, campaign, occasion, channel, title, body, not_before, expires_at)
            SELECT channel.id, kept.id, customer, campaign, occasion, channel.name, title, body,
                   candlemaker_now(), to_timestamp(valid_until / 1000)
            FROM kept CROSS JOIN LATERAL (VALUES (push, 'fcm', 4), (inapp, 'inapp', 8)) AS channel (id, name, bit)
            WHERE consents & channel.bit <> 0
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

REVOKE EXECUTE ON FUNCTION candlemaker_commit(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION candlemaker_commit(jsonb) TO candlemaker_engine;
