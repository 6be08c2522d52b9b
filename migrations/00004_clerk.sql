-- +goose Up

-- Webhooks of Clerk whose effect has been committed, by svix-id: each has its
-- effect once, however often it is delivered.

CREATE TABLE webhook_deliveries (
    id          text        PRIMARY KEY,
    received_at timestamptz NOT NULL
);
CREATE INDEX webhook_deliveries_received_at ON webhook_deliveries (received_at);

-- What may have to end when Clerk says that a person or an organization is
-- gone: pending connections as well as live ones.

CREATE INDEX connections_user_id_unrevoked ON connections (user_id) WHERE revoked_at IS NULL;
CREATE INDEX connections_org_id_unrevoked ON connections (org_id) WHERE revoked_at IS NULL;
