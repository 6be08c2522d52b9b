-- +goose Up

-- What Clerk last said about people and organizations, and when (synced_at).

CREATE TABLE users (
    id             text        PRIMARY KEY,
    name           text        NOT NULL,
    email          text        NOT NULL,
    email_verified boolean     NOT NULL,
    banned         boolean     NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL,
    synced_at      timestamptz NOT NULL,
    deleted_at     timestamptz
);

CREATE TABLE organizations (
    id         text        PRIMARY KEY,
    slug       text        NOT NULL,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL,
    synced_at  timestamptz NOT NULL,
    deleted_at timestamptz
);

CREATE TABLE memberships (
    org_id    text        NOT NULL REFERENCES organizations,
    user_id   text        NOT NULL REFERENCES users,
    role      text        NOT NULL,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX memberships_user_id ON memberships (user_id);

-- Browser sessions of the dashboard and the consent page.

CREATE TABLE sessions (
    token_hash   bytea       PRIMARY KEY,
    user_id      text        NOT NULL REFERENCES users,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- A round trip to Clerk that has not come back. Taken by DELETE … RETURNING.

CREATE TABLE sign_in_attempts (
    state_hash   bytea       PRIMARY KEY,
    browser_hash bytea       NOT NULL,
    nonce        text        NOT NULL,
    verifier     text        NOT NULL,
    return_to    text        NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX sign_in_attempts_expires_at ON sign_in_attempts (expires_at);

-- OAuth clients (RFC 7591).

CREATE TABLE oauth_clients (
    id                  text        PRIMARY KEY,
    kind                text        NOT NULL,
    auth_method         text        NOT NULL,
    secret_hash         bytea,
    redirect_uris       text[]      NOT NULL,
    grant_types         text[]      NOT NULL,
    name                text        NOT NULL,
    client_uri          text        NOT NULL DEFAULT '',
    software_id         text        NOT NULL DEFAULT '',
    software_version    text        NOT NULL DEFAULT '',
    metadata_hash       bytea       NOT NULL,
    created_at          timestamptz NOT NULL,
    handed_out_at       timestamptz NOT NULL,
    first_authorized_at timestamptz,
    CONSTRAINT oauth_clients_kind CHECK (kind IN ('registered', 'document', 'static')),
    CONSTRAINT oauth_clients_secret CHECK ((auth_method IN ('client_secret_basic', 'client_secret_post')) = (secret_hash IS NOT NULL))
);
-- Identical public registrations are one client (design §9).
CREATE UNIQUE INDEX oauth_clients_metadata_hash ON oauth_clients (metadata_hash) WHERE kind = 'registered' AND auth_method = 'none';
CREATE INDEX oauth_clients_unused ON oauth_clients (handed_out_at) WHERE first_authorized_at IS NULL;

-- An authorization request that waits for its person. form is the validated
-- request, URL-encoded. user_id is set when a person has seen the consent page.

CREATE TABLE authorization_requests (
    handle_hash  bytea       PRIMARY KEY,
    client_id    text        NOT NULL REFERENCES oauth_clients ON DELETE CASCADE,
    form         text        NOT NULL,
    browser_hash bytea       NOT NULL,
    user_id      text        REFERENCES users,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX authorization_requests_expires_at ON authorization_requests (expires_at);

-- A connection is what one consent created: a person, an organization, and a
-- client's install. Its id is the revocation key; epoch grows with each
-- revocation, so that a token of an older epoch is dead for good.

CREATE TABLE connections (
    id              uuid        PRIMARY KEY,
    org_id          text        NOT NULL REFERENCES organizations,
    user_id         text        NOT NULL REFERENCES users,
    client_id       text        NOT NULL REFERENCES oauth_clients,
    client_name     text        NOT NULL,
    client_identity text        NOT NULL,
    client_verified boolean     NOT NULL,
    redirect_uri    text        NOT NULL,
    resource        text        NOT NULL,
    scopes          text[]      NOT NULL,
    epoch           integer     NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    connected_at    timestamptz,
    last_used_at    timestamptz,
    expires_at      timestamptz NOT NULL,
    revoked_at      timestamptz,
    revoked_by      text        REFERENCES users,
    revoke_reason   text,
    CONSTRAINT connections_revoked CHECK ((revoked_at IS NULL) = (revoke_reason IS NULL)),
    CONSTRAINT connections_revoke_reason CHECK (revoke_reason IN
        ('user', 'admin', 'client', 'refresh_reuse', 'code_replay', 'clerk', 'policy', 'superseded', 'operator'))
) WITH (fillfactor = 80);
CREATE INDEX connections_user_id ON connections (user_id, connected_at DESC) WHERE connected_at IS NOT NULL;
CREATE INDEX connections_org_id ON connections (org_id, connected_at DESC) WHERE connected_at IS NOT NULL;
CREATE INDEX connections_client_id ON connections (client_id, user_id, org_id) WHERE revoked_at IS NULL;
CREATE INDEX connections_pending ON connections (created_at) WHERE connected_at IS NULL;

CREATE TABLE authorization_codes (
    code_hash         bytea       PRIMARY KEY,
    connection_id     uuid        NOT NULL REFERENCES connections ON DELETE CASCADE,
    client_id         text        NOT NULL,
    redirect_uri      text        NOT NULL,
    code_challenge    text        NOT NULL,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    used_at           timestamptz
);
CREATE INDEX authorization_codes_expires_at ON authorization_codes (expires_at);
CREATE INDEX authorization_codes_connection_id ON authorization_codes (connection_id);

-- The chain of a connection's refresh tokens. At most one is unused: a fork is
-- refused by the database whatever the code does.

CREATE TABLE refresh_tokens (
    token_hash       bytea       PRIMARY KEY,
    connection_id    uuid        NOT NULL REFERENCES connections ON DELETE CASCADE,
    generation       integer     NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    used_at          timestamptz,
    successor_hash   bytea,
    successor_sealed bytea,
    CONSTRAINT refresh_tokens_successor CHECK ((used_at IS NULL) = (successor_hash IS NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX refresh_tokens_one_unused ON refresh_tokens (connection_id) WHERE used_at IS NULL;
CREATE INDEX refresh_tokens_connection_id ON refresh_tokens (connection_id, generation DESC);
CREATE INDEX refresh_tokens_used_at ON refresh_tokens (used_at) WHERE used_at IS NOT NULL;

-- Keys. What must come back is sealed under SCALING_MASTER_KEY.

CREATE TABLE signing_keys (
    kid            text        PRIMARY KEY,
    alg            text        NOT NULL,
    public_jwk     jsonb       NOT NULL,
    private_sealed bytea       NOT NULL,
    state          text        NOT NULL,
    created_at     timestamptz NOT NULL,
    retired_at     timestamptz,
    CONSTRAINT signing_keys_state CHECK (state IN ('next', 'active', 'retired'))
);
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 'active';

CREATE TABLE sealed_keys (
    name       text        PRIMARY KEY,
    sealed     bytea       NOT NULL,
    created_at timestamptz NOT NULL
);

-- Revocations whose Redis tombstone is not confirmed yet.

CREATE TABLE revocation_outbox (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    connection_id uuid        NOT NULL REFERENCES connections ON DELETE CASCADE,
    epoch         integer     NOT NULL,
    created_at    timestamptz NOT NULL,
    applied_at    timestamptz
);
CREATE INDEX revocation_outbox_unapplied ON revocation_outbox (id) WHERE applied_at IS NULL;
CREATE INDEX revocation_outbox_created_at ON revocation_outbox (created_at);
CREATE INDEX revocation_outbox_connection_id ON revocation_outbox (connection_id);
