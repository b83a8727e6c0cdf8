-- A campaign with trigger start walks through its whole audience, unless it is only for who is inside its fences at its
-- start: then it is matched.
CREATE FUNCTION candlemaker_walks(spec jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT spec ->> 'trigger' = 'start' AND NOT coalesce((spec #>> '{delivery,inside}')::boolean, false)
$$;
