-- +goose Up

-- Every filter of the list of incidents reads one range of one index, in the
-- order of the list. With status and severity given together either of the
-- indexes that have one of them would do, until they disagree: where every
-- critical incident is open, a page of critical resolved ones reads all that are
-- resolved and finds none.

CREATE INDEX incidents_newest_by_status_and_severity
    ON incidents (org_id, status, severity, created_at DESC, sequential_id DESC);

-- The history of an incident's status is four events of perhaps thousands, and
-- is read with every record.

CREATE INDEX incident_events_status ON incident_events (org_id, incident_id, seq) WHERE status IS NOT NULL;
