-- name: lock_key$
-- Held to the end of the effect's transaction: a second call with the same key finds it in flight.
SELECT pg_try_advisory_xact_lock(hashtextextended(:caller || ' ' || :key, 1));

-- name: find_answer^
SELECT request, status, answer FROM idempotency WHERE caller = :caller AND key = :key;

-- name: store_answer!
INSERT INTO idempotency (caller, key, retailer, request, status, answer)
VALUES (:caller, :key, :retailer, :request, :status, :answer);
