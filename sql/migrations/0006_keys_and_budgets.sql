-- Keys are changed without a gap: a successor beside the old one, two at most, and the old one may end by itself.

ALTER TABLE api_key
    ADD COLUMN family bigint REFERENCES api_key,     -- the first of its line; NULL: it is the first
    ADD COLUMN slot smallint NOT NULL DEFAULT 1 CHECK (slot IN (1, 2)),
    ADD COLUMN expires_at timestamptz;
CREATE UNIQUE INDEX two_live_keys_a_line ON api_key (coalesce(family, id), slot) WHERE revoked_at IS NULL;

-- A hundred thousand campaigns that go live at once need a block in every partition at once. What each partition may spend
-- before it asks is set aside with the budget itself, in `leased`; the row of a block is written when its first coupon is.
ALTER TABLE budget ADD COLUMN first integer NOT NULL DEFAULT 0 CHECK (first >= 0);

-- ── Which campaigns changed, so that one edit among many is compiled alone ───────────────────────────────────

ALTER TABLE catalogue_change ADD COLUMN campaigns bigint[];   -- NULL: too many to name, or something else changed

CREATE FUNCTION note_campaign_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
DECLARE
    ids bigint[];
BEGIN
    ids := ARRAY(SELECT id FROM fresh LIMIT 1001);
    IF cardinality(ids) > 0 THEN
        INSERT INTO public.catalogue_change (what, campaigns)
        VALUES ('campaign', CASE WHEN cardinality(ids) <= 1000 THEN ids END);
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER note_change ON campaign;
CREATE TRIGGER note_insert AFTER INSERT ON campaign REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION note_campaign_change();
CREATE TRIGGER note_update AFTER UPDATE ON campaign REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION note_campaign_change();

-- Asked ten times a second: whose time has come.
CREATE INDEX campaign_starts ON campaign (starts_at) WHERE state = 'scheduled';
CREATE INDEX campaign_ends ON campaign (ends_at) WHERE state IN ('scheduled', 'live', 'paused');

-- Both name a campaign, which names its retailer: to prove it once more a row was a third of storing many.
ALTER TABLE campaign_audit DROP CONSTRAINT campaign_audit_retailer_fkey;
ALTER TABLE budget DROP CONSTRAINT budget_retailer_fkey;
