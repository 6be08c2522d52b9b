-- +goose Up

-- What became of a page: it was sent, it failed for good, or it was withdrawn
-- because the incident was acknowledged or resolved before it went out. A page
-- ends once, and only who sets its outcome records an event. Until now a page
-- counted as sent when it was made.

ALTER TABLE pages
    ADD COLUMN outcome  text,
    ADD COLUMN ended_at timestamptz,
    ADD CONSTRAINT pages_outcome CHECK (outcome IN ('sent', 'failed', 'withdrawn')),
    ADD CONSTRAINT pages_ended CHECK ((outcome IS NULL) = (ended_at IS NULL));
UPDATE pages SET outcome = 'sent', ended_at = paged_at;
