-- Keys are changed without a gap: a successor beside the old one, two at most, and the old one may end by itself.

ALTER TABLE api_key
    ADD COLUMN family bigint REFERENCES api_key,     -- the first of its line; NULL: it is the first
    ADD COLUMN slot smallint NOT NULL DEFAULT 1 CHECK (slot IN (1, 2)),
    ADD COLUMN expires_at timestamptz;
CREATE UNIQUE INDEX two_live_keys_a_line ON api_key (coalesce(family, id), slot) WHERE revoked_at IS NULL;

-- A hundred thousand campaigns that go live at once need a block in every partition at once. What each partition may spend
-- before it asks is set aside with the budget itself, in `leased`; the row of a block is written when its first coupon is.
ALTER TABLE budget ADD COLUMN first integer NOT NULL DEFAULT 0 CHECK (first >= 0);
