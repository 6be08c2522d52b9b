-- +goose Up

-- What a person is told by mail about a connection of theirs. A row is inserted
-- by the statement that makes or ends the connection, so that there are both or
-- neither; queued_at is when its mail became a job. It ends once.

CREATE TABLE notices (
    connection_id uuid        NOT NULL REFERENCES connections ON DELETE CASCADE,
    kind          text        NOT NULL,
    made_at       timestamptz NOT NULL,
    queued_at     timestamptz,
    outcome       text,
    ended_at      timestamptz,
    PRIMARY KEY (connection_id, kind),
    CONSTRAINT notices_kind CHECK (kind IN ('connected', 'revoked')),
    CONSTRAINT notices_outcome CHECK (outcome IN ('sent', 'failed', 'withdrawn')),
    CONSTRAINT notices_ended CHECK ((outcome IS NULL) = (ended_at IS NULL))
);
CREATE INDEX notices_waiting ON notices (made_at) WHERE queued_at IS NULL;
