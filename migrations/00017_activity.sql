-- +goose Up

-- The audit log is read newest first, and narrowed. Each way to narrow it reads
-- one range of one index, in the order of the log; of several ways given
-- together one is read, and the others are filtered.

CREATE INDEX audit_events_user ON audit_events (org_id, user_id, at, id);
CREATE INDEX audit_events_org_connection ON audit_events (org_id, connection_id, at, id) WHERE connection_id IS NOT NULL;
CREATE INDEX audit_events_client_name ON audit_events (org_id, client_name, at, id) WHERE client_name IS NOT NULL;
CREATE INDEX audit_events_action ON audit_events (org_id, action, at, id);

-- Nearly every call is answered, and those need no index to be found.
CREATE INDEX audit_events_outcome ON audit_events (org_id, outcome, at, id) WHERE outcome <> 'ok';
CREATE INDEX audit_events_refused ON audit_events (org_id, at, id) WHERE outcome NOT IN ('ok', 'replayed', 'input_required');

-- What a person has to decide on.

CREATE INDEX update_drafts_author ON update_drafts (org_id, author_id, created_at);
