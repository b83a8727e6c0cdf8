-- The file of rejected rows lists the first faults only; how many there were in all is told with the upload.
ALTER TABLE upload ADD COLUMN faults bigint NOT NULL DEFAULT 0;
