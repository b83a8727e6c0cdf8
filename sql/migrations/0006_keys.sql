-- Keys are changed without a gap: a successor beside the old one, two at most, and the old one may end by itself.

ALTER TABLE api_key
    ADD COLUMN family bigint REFERENCES api_key,     -- the first of its line; NULL: it is the first
    ADD COLUMN slot smallint NOT NULL DEFAULT 1 CHECK (slot IN (1, 2)),
    ADD COLUMN expires_at timestamptz;
CREATE UNIQUE INDEX two_live_keys_a_line ON api_key (coalesce(family, id), slot) WHERE revoked_at IS NULL;
