-- name: insert_upload!
INSERT INTO upload (id, retailer, kind, format, gzip, replaces, dry_run, activates, caller)
VALUES (:id, :retailer, :kind, :format, :gzip, :replaces, :dry_run, :activates, :caller);

-- name: insert_part!
INSERT INTO upload_part (upload, retailer, n, content) VALUES (:upload, :retailer, :n, :content);

-- name: queue!
-- From here on it is kept until a loader has stored or refused it.
UPDATE upload SET state = 'queued', bytes = :bytes, queued_at = candlemaker_now() WHERE id = :id AND state = 'receiving';

-- name: waiting^
-- What the retailer has in the queue; its next upload is refused beyond a bound.
SELECT count(*) AS uploads, coalesce(sum(bytes), 0)::bigint AS bytes FROM upload
WHERE state IN ('receiving', 'queued', 'running');

-- name: get_upload^
-- Row-level security narrows it to one retailer.
SELECT id, kind, format, gzip, replaces, dry_run, activates, state, bytes, bytes_read, rows, rejected, faults, created, updated,
    unchanged, ended, reason, created_at, started_at, finished_at
FROM upload WHERE id = :id;

-- name: list_uploads
SELECT id, kind, format, gzip, replaces, dry_run, activates, state, bytes, bytes_read, rows, rejected, faults, created, updated,
    unchanged, ended, reason, created_at, started_at, finished_at
FROM upload WHERE state <> 'receiving' ORDER BY created_at DESC, id LIMIT :most;

-- name: list_faults
SELECT n, "row", "column", code, detail FROM upload_fault WHERE upload = :upload AND n > :after ORDER BY n LIMIT :most;

-- name: forget_upload!
-- A body that did not arrive whole leaves nothing.
DELETE FROM upload WHERE id = :id AND state = 'receiving';

-- ── The loader's side ────────────────────────────────────────────────────────────────────────────────────────

-- name: next_uploads
-- Oldest first; small ones alone where *most_bytes* says so, that they need not wait behind a catalogue.
SELECT id, retailer FROM upload WHERE state IN ('queued', 'running') AND bytes <= :most_bytes
ORDER BY queued_at, id LIMIT 100;

-- name: try_lock$
-- A retailer's uploads are stored one after the other, in the order they came. The lock is the session's, as is the
-- transaction that stores: whoever lost the one has lost the other.
SELECT pg_try_advisory_lock(hashtextextended('upload ' || :retailer::bigint, 4));

-- name: unlock!
SELECT pg_advisory_unlock_all();

-- name: first_of^
-- Under the lock: the retailer's oldest one, whatever its size, so that none overtakes another.
SELECT id, retailer, kind, format, gzip, replaces, dry_run, activates, bytes, attempts, caller FROM upload
WHERE state IN ('queued', 'running') AND retailer = :retailer ORDER BY queued_at, id LIMIT 1;

-- name: begin_upload$
UPDATE upload SET state = 'running', attempts = attempts + 1, started_at = coalesce(started_at, candlemaker_now()),
    bytes_read = 0, rows = 0, rejected = 0
WHERE id = :id RETURNING attempts;

-- name: note_progress!
UPDATE upload SET bytes_read = :bytes_read, rows = :rows, rejected = :rejected WHERE id = :id AND state = 'running';

-- name: get_part$
SELECT content FROM upload_part WHERE upload = :upload AND n = :n;

-- name: finish_upload!
UPDATE upload SET state = :state, bytes_read = bytes, rows = :rows, rejected = :rejected, faults = :faults,
    created = :created, updated = :updated, unchanged = :unchanged, ended = :ended, reason = :reason, finished_at = candlemaker_now()
WHERE id = :id;

-- name: insert_faults!
INSERT INTO upload_fault (upload, retailer, n, "row", "column", code, detail)
SELECT :upload, :retailer, * FROM unnest(
    :numbers::integer[], :rows::bigint[], :columns::text[], :codes::text[], :details::text[]);

-- name: drop_parts!
DELETE FROM upload_part WHERE upload = :upload;

-- name: forget_stranded!
-- Bodies whose API process died while they arrived.
DELETE FROM upload WHERE state = 'receiving' AND created_at < candlemaker_now() - interval '1 hour';
