-- The life of a campaign, kept: every version says who made it, by which verb, and what the campaign said from then on.

ALTER TABLE campaign_audit ADD COLUMN spec jsonb;   -- where the version changed it; moves leave it as it was

CREATE FUNCTION nothing_is_unsaid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER nothing_is_unsaid BEFORE UPDATE OR DELETE OR TRUNCATE ON campaign_audit
    FOR EACH STATEMENT EXECUTE FUNCTION nothing_is_unsaid();
