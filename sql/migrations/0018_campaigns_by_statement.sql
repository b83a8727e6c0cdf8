-- A hundred thousand campaigns with their budgets and two lines of audit each were four hundred thousand look-ups of what
-- they name, half of the time to store them. One join a statement proves the same, and that a budget and a line of audit
-- are of the campaign's own retailer besides. Campaigns and retailers are ended, never deleted, and keep who they are.

ALTER TABLE campaign DROP CONSTRAINT campaign_retailer_fkey;
ALTER TABLE budget DROP CONSTRAINT budget_campaign_fkey;
ALTER TABLE campaign_audit DROP CONSTRAINT campaign_audit_campaign_fkey;

CREATE FUNCTION campaigns_have_a_retailer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT retailer FROM fresh) f LEFT JOIN retailer r ON r.id = f.retailer
               WHERE r.id IS NULL) THEN
        RAISE EXCEPTION 'a campaign names a retailer that does not exist'
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'campaigns_have_a_retailer';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER campaigns_have_a_retailer AFTER INSERT ON campaign REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION campaigns_have_a_retailer();

CREATE FUNCTION is_of_its_campaign() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh f LEFT JOIN campaign c ON c.id = f.campaign AND c.retailer = f.retailer
               WHERE c.id IS NULL) THEN
        RAISE EXCEPTION '% names a campaign that its retailer does not have', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'is_of_its_campaign';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER is_of_its_campaign AFTER INSERT ON budget REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION is_of_its_campaign();
CREATE TRIGGER is_of_its_campaign AFTER INSERT ON campaign_audit REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION is_of_its_campaign();

REVOKE DELETE ON campaign, retailer FROM candlemaker_engine, candlemaker_tenant;
REVOKE UPDATE ON campaign, budget FROM candlemaker_engine, candlemaker_tenant;
GRANT UPDATE (code, spec, starts_at, ends_at, state, stopped, version, updated_at) ON campaign
    TO candlemaker_engine, candlemaker_tenant;
GRANT UPDATE (total, leased, first, starved_at) ON budget TO candlemaker_engine, candlemaker_tenant;
