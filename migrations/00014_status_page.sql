-- +goose Up

-- The status page asks for open incidents apart from those that are over, and
-- for these by when they ended. Of a timeline it reads what is public, past any
-- number of internal updates and pages.

DROP INDEX incidents_public;
CREATE INDEX incidents_public_open ON incidents (org_id, created_at DESC)
    WHERE public_at IS NOT NULL AND resolved_at IS NULL;
CREATE INDEX incidents_public_resolved ON incidents (org_id, resolved_at DESC)
    WHERE public_at IS NOT NULL AND resolved_at IS NOT NULL;
CREATE INDEX incident_updates_public ON incident_updates (org_id, incident_id, posted_at DESC)
    WHERE visibility = 'public';
CREATE INDEX incident_events_status ON incident_events (org_id, incident_id, seq)
    WHERE status IS NOT NULL;
