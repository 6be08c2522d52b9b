-- +goose Up

-- Signing keys are rotated: the next key is published before it signs, and only
-- public halves stay of the keys that have signed.

ALTER TABLE signing_keys ADD COLUMN activated_at timestamptz;
UPDATE signing_keys SET activated_at = created_at WHERE state <> 'next';
ALTER TABLE signing_keys ALTER COLUMN private_sealed DROP NOT NULL;
UPDATE signing_keys SET private_sealed = NULL, retired_at = COALESCE(retired_at, created_at) WHERE state = 'retired';
ALTER TABLE signing_keys
    ADD CONSTRAINT signing_keys_private CHECK ((state = 'retired') = (private_sealed IS NULL)),
    ADD CONSTRAINT signing_keys_activated CHECK ((state = 'next') = (activated_at IS NULL)),
    ADD CONSTRAINT signing_keys_retired CHECK ((state = 'retired') = (retired_at IS NOT NULL));
CREATE UNIQUE INDEX signing_keys_one_next ON signing_keys (state) WHERE state = 'next';

-- Resource servers that may introspect access tokens (RFC 7662 §2.1). They are
-- no OAuth clients: an operator registers them, and nobody else can.

CREATE TABLE resource_servers (
    id          text        PRIMARY KEY,
    name        text        NOT NULL,
    secret_hash bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT resource_servers_secret CHECK (octet_length(secret_hash) = 32)
);
