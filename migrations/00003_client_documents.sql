-- +goose Up

-- A client may be described by its metadata document
-- (draft-ietf-oauth-client-id-metadata-document): its id is then the document's
-- URL, and the row is the last good copy. jwks is its key set as it was fetched
-- with the document. also_public: it may authenticate with a key or not at all.
-- withdrawn_at: the client took itself away, its document is gone or it deleted
-- its registration (RFC 7592 §2.3); the row stays for the connections that name it.

ALTER TABLE oauth_clients
    ADD COLUMN fetched_at              timestamptz,
    ADD COLUMN fresh_until             timestamptz,
    ADD COLUMN jwks                    jsonb,
    ADD COLUMN jwks_asked_at           timestamptz,
    ADD COLUMN also_public             boolean NOT NULL DEFAULT false,
    ADD COLUMN registration_token_hash bytea,
    ADD COLUMN withdrawn_at            timestamptz,
    ADD CONSTRAINT oauth_clients_document CHECK ((kind = 'document') = (fetched_at IS NOT NULL AND fresh_until IS NOT NULL)),
    ADD CONSTRAINT oauth_clients_jwks CHECK ((auth_method = 'private_key_jwt') = (jwks IS NOT NULL)),
    ADD CONSTRAINT oauth_clients_also_public CHECK (NOT also_public OR auth_method = 'private_key_jwt');
CREATE INDEX oauth_clients_withdrawn_at ON oauth_clients (withdrawn_at) WHERE withdrawn_at IS NOT NULL;

-- Deleting a client looks for what refers to it.
CREATE INDEX connections_client ON connections (client_id);
CREATE INDEX authorization_requests_client_id ON authorization_requests (client_id);

-- Client assertions that were used (RFC 7523 §3), until they expire: each is
-- good for one request. A jti belongs to its client.

CREATE TABLE client_assertions (
    client_id  text        NOT NULL,
    jti_hash   bytea       NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, jti_hash)
);
CREATE INDEX client_assertions_expires_at ON client_assertions (expires_at);
