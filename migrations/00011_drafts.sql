-- +goose Up

-- Public updates that wait for their author's word in the dashboard, because the
-- client could not ask for it (design §11). What became of one stays until it is
-- swept: the client asks by repeating its call.
--
-- A person has one draft of one text for one incident, so that a client that
-- repeats itself makes no second one. body_hash is the SHA-256 of the body, which
-- is too long for an index.

CREATE TABLE update_drafts (
    org_id       text        NOT NULL,
    id           uuid        NOT NULL,
    incident_id  uuid        NOT NULL,
    body         text        NOT NULL,
    body_hash    bytea       NOT NULL,
    author_id    text        NOT NULL REFERENCES users,
    via          text        NOT NULL, -- the client's name
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    published_at timestamptz,
    update_id    uuid, -- that it became
    discarded_at timestamptz,
    PRIMARY KEY (org_id, id),
    CONSTRAINT update_drafts_incident FOREIGN KEY (org_id, incident_id) REFERENCES incidents ON DELETE CASCADE,
    CONSTRAINT update_drafts_update FOREIGN KEY (org_id, incident_id, update_id) REFERENCES incident_updates,
    CONSTRAINT update_drafts_text_unique UNIQUE (org_id, incident_id, author_id, body_hash),
    CONSTRAINT update_drafts_body CHECK (char_length(body) BETWEEN 1 AND 10000),
    CONSTRAINT update_drafts_published CHECK ((published_at IS NULL) = (update_id IS NULL)),
    CONSTRAINT update_drafts_decided_once CHECK (published_at IS NULL OR discarded_at IS NULL)
);
CREATE INDEX update_drafts_expires_at ON update_drafts (expires_at);

-- Answers to a question for confirmation that were used: each counts once. What
-- has expired is refused without a look here, and swept.

CREATE TABLE spent_confirmations (
    org_id     text        NOT NULL REFERENCES organizations,
    nonce      uuid        NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, nonce)
);
CREATE INDEX spent_confirmations_expires_at ON spent_confirmations (expires_at);
