-- +goose Up

-- Who did what through which client, a row per call of a tool. No bodies: what
-- was written stands on the incident, what was read is nobody's business.
--
-- Partitioned by month, so that a month that is older than is kept goes at once.
-- The program makes the partitions ahead of time; the default one takes what
-- comes for a month that has none, because a call must not fail for want of one.
--
-- There are no foreign keys: the log outlives what it speaks of. A person's name
-- is not here, so it is gone when the person is.

CREATE TABLE audit_events (
    org_id        text        NOT NULL,
    id            uuid        NOT NULL,
    at            timestamptz NOT NULL, -- the call began
    user_id       text        NOT NULL,
    connection_id uuid,
    client_id     text,
    client_name   text,     -- as consented to
    action        text        NOT NULL, -- the tool
    outcome       text        NOT NULL, -- ok, replayed, or the code of the refusal
    duration_us   bigint      NOT NULL,
    incident      bigint,   -- the sequential id that was asked for or made
    request_id    text,
    PRIMARY KEY (org_id, at, id)
) PARTITION BY RANGE (at);
CREATE INDEX audit_events_connection ON audit_events (connection_id, at) WHERE connection_id IS NOT NULL;

CREATE TABLE audit_events_default PARTITION OF audit_events DEFAULT;
