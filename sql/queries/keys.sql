-- name: insert_key$
-- The conflicting update changes nothing; it is there so that a key stored before still answers its id.
INSERT INTO api_key (prefix, hash, scope, retailer, name)
VALUES (:prefix, :hash, :scope, :retailer, :name)
ON CONFLICT (hash) DO UPDATE SET name = api_key.name
RETURNING id;

-- name: find_key^
SELECT id, scope, retailer FROM api_key WHERE hash = :hash AND revoked_at IS NULL;

-- name: list_keys
SELECT id, prefix, scope, retailer, name, created_at, revoked_at
FROM api_key WHERE id > :after ORDER BY id LIMIT :most;

-- name: revoke_key$
-- Answers the id also when it was revoked before: revoking twice is no mistake.
UPDATE api_key SET revoked_at = coalesce(revoked_at, candlemaker_now()) WHERE id = :id RETURNING id;
