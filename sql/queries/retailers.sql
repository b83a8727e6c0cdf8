-- name: insert_retailer^
INSERT INTO retailer (name, currency) VALUES (:name, :currency) RETURNING id, name, currency, created_at;

-- name: list_retailers
SELECT id, name, currency, created_at FROM retailer WHERE id > :after ORDER BY id LIMIT :most;

-- name: find_retailer^
-- Whether a retailer exists, and what its amounts are in.
SELECT id, currency FROM retailer WHERE id = :id;
