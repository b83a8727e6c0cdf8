-- name: insert_key$
-- The conflicting update changes nothing; it is there so that a key stored before still answers its id.
INSERT INTO api_key (prefix, hash, scope, retailer, name)
VALUES (:prefix, :hash, :scope, :retailer, :name)
ON CONFLICT (hash) DO UPDATE SET name = api_key.name
RETURNING id;

-- name: find_key^
SELECT id, scope, retailer FROM api_key
WHERE hash = :hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > candlemaker_now());

-- name: lock_line^
-- A live key and the first of its line, which is locked: two successors at once are made one after the other.
SELECT k.id, k.scope, coalesce(k.family, k.id) AS family FROM api_key k
JOIN api_key f ON f.id = coalesce(k.family, k.id)
WHERE k.id = :id AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > candlemaker_now())
FOR UPDATE OF f;

-- name: live_slots
-- Those that have expired make room.
WITH over AS (
    UPDATE api_key SET revoked_at = expires_at
    WHERE coalesce(family, id) = :family AND revoked_at IS NULL AND expires_at <= candlemaker_now()
)
SELECT slot FROM api_key
WHERE coalesce(family, id) = :family AND revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > candlemaker_now());

-- name: insert_successor$
INSERT INTO api_key (prefix, hash, scope, retailer, name, family, slot)
SELECT :prefix, :hash, scope, retailer, name, :family, :slot FROM api_key WHERE id = :of
RETURNING id;

-- name: expire_key!
UPDATE api_key SET expires_at = least(expires_at, candlemaker_now() + :seconds * interval '1 second') WHERE id = :id;

-- name: list_keys
SELECT id, prefix, scope, retailer, name, coalesce(family, id) AS line, created_at, expires_at, revoked_at
FROM api_key WHERE id > :after ORDER BY id LIMIT :most;

-- name: revoke_key$
-- Answers the id also when it was revoked before: revoking twice is no mistake.
UPDATE api_key SET revoked_at = coalesce(revoked_at, candlemaker_now()) WHERE id = :id RETURNING id;
