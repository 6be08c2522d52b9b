-- +goose Up

-- The list of connections goes by client: it reads an organization's or a
-- person's live connections of one client, however many others there are. When a
-- connection was last used is in no index on purpose: it changes with every use,
-- which must stay a write of one page.

CREATE INDEX connections_org_client ON connections (org_id, client_identity, connected_at DESC)
    WHERE connected_at IS NOT NULL AND revoked_at IS NULL;
CREATE INDEX connections_user_client ON connections (user_id, client_identity, connected_at DESC)
    WHERE connected_at IS NOT NULL AND revoked_at IS NULL;

-- What was revoked is listed for 90 days and kept for longer. What somebody has
-- just revoked is told to them by who and when.

CREATE INDEX connections_org_revoked ON connections (org_id, revoked_at)
    WHERE connected_at IS NOT NULL AND revoked_at IS NOT NULL;
CREATE INDEX connections_user_revoked ON connections (user_id, revoked_at)
    WHERE connected_at IS NOT NULL AND revoked_at IS NOT NULL;
CREATE INDEX connections_revoked_by ON connections (revoked_by, revoked_at) WHERE revoked_by IS NOT NULL;
