-- An area that is drawn or redrawn changes the campaigns that name it, and no others: those alone are compiled anew. Who
-- they are is asked by the compiler, who sees all campaigns.

ALTER TABLE catalogue_change ADD COLUMN areas jsonb;   -- [{retailer, code}]; NULL: something else changed, or too many

CREATE INDEX campaign_draws ON campaign USING gin ((spec -> 'drawn')) WHERE spec -> 'drawn' <> '[]';

CREATE FUNCTION note_area_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
DECLARE
    drawn jsonb;
BEGIN
    SELECT jsonb_agg(jsonb_build_object('retailer', retailer, 'code', code)) INTO drawn
    FROM (SELECT retailer, code FROM fresh LIMIT 1001) AS first_ones;
    IF jsonb_array_length(drawn) <= 1000 THEN
        INSERT INTO public.catalogue_change (what, campaigns, areas) VALUES ('area', '{}', drawn);
    ELSIF drawn IS NOT NULL THEN
        INSERT INTO public.catalogue_change (what) VALUES ('area');
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER note_change ON area;
CREATE TRIGGER note_insert AFTER INSERT ON area REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION note_area_change();
CREATE TRIGGER note_update AFTER UPDATE ON area REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION note_area_change();
CREATE TRIGGER note_delete AFTER DELETE ON area
    FOR EACH STATEMENT EXECUTE FUNCTION note_catalogue_change();
