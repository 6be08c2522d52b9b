-- +goose Up

-- Which clients an organization lets in, for how long, and whether they may
-- change anything. A client is named by its identity, as connections are.

ALTER TABLE org_policies
    ADD COLUMN clients         text    NOT NULL DEFAULT 'anyone',
    ADD COLUMN allowed_clients text[]  NOT NULL DEFAULT '{}', -- counts where clients is 'list'
    ADD COLUMN max_age_days    integer,                       -- null: as long as the system allows
    ADD COLUMN read_only       boolean NOT NULL DEFAULT false,
    ADD COLUMN version         integer NOT NULL DEFAULT 1,    -- tells a form that another change came first
    ADD CONSTRAINT org_policies_clients CHECK (clients IN ('anyone', 'verified', 'list')),
    ADD CONSTRAINT org_policies_max_age_days CHECK (max_age_days BETWEEN 1 AND 180);

-- Clients that the administrators shut out, whatever the policy says.

CREATE TABLE client_blocks (
    org_id          text        NOT NULL REFERENCES organizations,
    client_identity text        NOT NULL,
    client_name     text        NOT NULL, -- as its connections called it
    blocked_by      text        NOT NULL REFERENCES users,
    blocked_at      timestamptz NOT NULL,
    PRIMARY KEY (org_id, client_identity)
);
