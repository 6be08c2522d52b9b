-- +goose Up

-- An authorization request that its client has pushed (RFC 9126), until the
-- person's browser comes with the URI. Taken by DELETE … RETURNING.

CREATE TABLE pushed_requests (
    uri_hash   bytea       PRIMARY KEY,
    client_id  text        NOT NULL REFERENCES oauth_clients ON DELETE CASCADE,
    form       text        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX pushed_requests_expires_at ON pushed_requests (expires_at);

-- A client may demand that its person signs in anew (prompt=login). Clerk does
-- not tell when it last asked somebody who they are (auth_time), so that we note
-- for each sign-in whether we told Clerk to ask.

ALTER TABLE authorization_requests ADD COLUMN sign_in_anew boolean NOT NULL DEFAULT false;
ALTER TABLE sign_in_attempts ADD COLUMN prompted boolean NOT NULL DEFAULT false;
ALTER TABLE sessions ADD COLUMN prompted boolean NOT NULL DEFAULT false;
