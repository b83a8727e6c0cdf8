-- A campaign with trigger start goes to its whole audience: it walks through the customers part by part, and issues a
-- thousand coupons at a time, no further ahead of the sending than a few chunks.

CREATE TABLE walk (
    campaign bigint NOT NULL REFERENCES campaign,
    part     smallint NOT NULL,
    p        smallint,                     -- the partition it walks through, or
    zone     text,                         -- the time zone, where each person is met at their own hour
    due_at   timestamptz NOT NULL,
    after    bigint NOT NULL DEFAULT -1,   -- customers up to this number were passed
    issued   bigint NOT NULL DEFAULT 0,
    done_at  timestamptz,
    ended    text CHECK (ended IN ('complete', 'budget', 'too_late')),
    PRIMARY KEY (campaign, part),
    CONSTRAINT a_walk_goes_one_way CHECK ((p IS NULL) <> (zone IS NULL)),
    CONSTRAINT a_walk_ends_for_a_reason CHECK ((done_at IS NULL) = (ended IS NULL))
);
CREATE INDEX walk_due ON walk (due_at) WHERE done_at IS NULL;

-- A coupon and a debit repeat what their decision refers to, and the decision's own references keep all of it in place: five
-- look-ups less for each of a million coupons.
ALTER TABLE coupon
    DROP CONSTRAINT coupon_retailer_fkey, DROP CONSTRAINT coupon_campaign_fkey, DROP CONSTRAINT coupon_store_fkey,
    DROP CONSTRAINT coupon_customer_fkey;
ALTER TABLE budget_ledger DROP CONSTRAINT budget_ledger_campaign_fkey;

CREATE INDEX purchase_customer ON purchase (customer, at);

GRANT SELECT, INSERT, UPDATE ON walk TO candlemaker_engine;
