-- +goose Up

-- Incidents and what they rest on: components, schedules, escalation policies.
-- Every row carries org_id, and the keys that rows refer to begin with it, so
-- that a row of one organization cannot point at a row of another.
--
-- People are the exception: a person belongs to several organizations, and
-- stays in a rotation, or an owner, after leaving one. Who is still a member is
-- asked when somebody is about to be paged.

CREATE TABLE components (
    org_id      text        NOT NULL REFERENCES organizations,
    id          uuid        NOT NULL,
    name        text        NOT NULL,
    description text        NOT NULL DEFAULT '',
    group_label text        NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CONSTRAINT components_name_unique UNIQUE (org_id, name),
    CONSTRAINT components_name CHECK (char_length(name) BETWEEN 1 AND 100)
);

CREATE TABLE schedules (
    org_id      text        NOT NULL REFERENCES organizations,
    id          uuid        NOT NULL,
    name        text        NOT NULL,
    description text        NOT NULL DEFAULT '',
    timezone    text        NOT NULL, -- IANA
    created_by  text        NOT NULL REFERENCES users,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CONSTRAINT schedules_name_unique UNIQUE (org_id, name),
    CONSTRAINT schedules_name CHECK (char_length(name) BETWEEN 1 AND 255)
);

-- A rotation. Its first participant is on call from effective_from; the next
-- one after rotation_length_days, at handoff_time in the schedule's zone.

CREATE TABLE schedule_layers (
    org_id               text        NOT NULL,
    schedule_id          uuid        NOT NULL,
    id                   uuid        NOT NULL,
    position             integer     NOT NULL, -- from 0, which bears the owner
    name                 text        NOT NULL,
    rotation_type        text        NOT NULL,
    rotation_length_days integer     NOT NULL,
    handoff_time         text        NOT NULL,
    effective_from       timestamptz NOT NULL,
    effective_until      timestamptz,
    participant_ids      text[]      NOT NULL,
    PRIMARY KEY (org_id, schedule_id, id),
    CONSTRAINT schedule_layers_schedule FOREIGN KEY (org_id, schedule_id) REFERENCES schedules ON DELETE CASCADE,
    CONSTRAINT schedule_layers_position_unique UNIQUE (org_id, schedule_id, position) DEFERRABLE,
    CONSTRAINT schedule_layers_name_unique UNIQUE (org_id, schedule_id, name),
    CONSTRAINT schedule_layers_name CHECK (char_length(name) BETWEEN 1 AND 255),
    CONSTRAINT schedule_layers_position CHECK (position >= 0),
    CONSTRAINT schedule_layers_rotation CHECK (
        (rotation_type = 'daily' AND rotation_length_days = 1)
        OR (rotation_type = 'weekly' AND rotation_length_days = 7)
        OR (rotation_type = 'custom' AND rotation_length_days BETWEEN 1 AND 3650)),
    CONSTRAINT schedule_layers_handoff_time CHECK (handoff_time ~ '^([01][0-9]|2[0-3]):[0-5][0-9]$'),
    CONSTRAINT schedule_layers_effective CHECK (effective_until > effective_from),
    CONSTRAINT schedule_layers_participants CHECK (cardinality(participant_ids) >= 1)
);

-- For its time an override puts one person in the place of layer 0's.

CREATE TABLE schedule_overrides (
    org_id      text        NOT NULL,
    schedule_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    user_id     text        NOT NULL REFERENCES users,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    created_by  text        NOT NULL REFERENCES users,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (org_id, schedule_id, id),
    CONSTRAINT schedule_overrides_schedule FOREIGN KEY (org_id, schedule_id) REFERENCES schedules ON DELETE CASCADE,
    CONSTRAINT schedule_overrides_time CHECK (ends_at > starts_at)
);
CREATE INDEX schedule_overrides_ends_at ON schedule_overrides (org_id, schedule_id, ends_at);

CREATE TABLE escalation_policies (
    org_id      text        NOT NULL REFERENCES organizations,
    id          uuid        NOT NULL,
    name        text        NOT NULL,
    description text        NOT NULL DEFAULT '',
    created_by  text        NOT NULL REFERENCES users,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (org_id, id),
    CONSTRAINT escalation_policies_name_unique UNIQUE (org_id, name),
    CONSTRAINT escalation_policies_name CHECK (char_length(name) BETWEEN 1 AND 255)
);

-- Whom to page, lowest position first, and how long to wait for an
-- acknowledgment. A layer targets a schedule or people, never both.

CREATE TABLE escalation_layers (
    org_id              text    NOT NULL,
    policy_id           uuid    NOT NULL,
    id                  uuid    NOT NULL,
    position            integer NOT NULL, -- from 1
    ack_timeout_minutes integer NOT NULL,
    schedule_id         uuid,
    user_ids            text[],
    PRIMARY KEY (org_id, policy_id, id),
    CONSTRAINT escalation_layers_policy FOREIGN KEY (org_id, policy_id) REFERENCES escalation_policies ON DELETE CASCADE,
    CONSTRAINT escalation_layers_schedule FOREIGN KEY (org_id, schedule_id) REFERENCES schedules,
    CONSTRAINT escalation_layers_position_unique UNIQUE (org_id, policy_id, position) DEFERRABLE,
    CONSTRAINT escalation_layers_position CHECK (position >= 1),
    CONSTRAINT escalation_layers_ack_timeout CHECK (ack_timeout_minutes BETWEEN 1 AND 10080),
    -- Of a layer that pages a schedule the cardinality is NULL, which passes a CHECK.
    CONSTRAINT escalation_layers_target CHECK ((schedule_id IS NULL) <> (user_ids IS NULL) AND cardinality(user_ids) > 0)
);
CREATE INDEX escalation_layers_schedule_id ON escalation_layers (org_id, schedule_id) WHERE schedule_id IS NOT NULL;

-- The last number given to an incident of each organization. Whoever creates an
-- incident holds this row until the commit: numbers have no gaps, and incidents
-- appear in the order of their numbers and of created_at.

CREATE TABLE incident_counters (
    org_id             text        PRIMARY KEY REFERENCES organizations,
    last_sequential_id bigint      NOT NULL,
    last_created_at    timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE incidents (
    org_id               text        NOT NULL REFERENCES organizations,
    id                   uuid        NOT NULL,
    sequential_id        bigint      NOT NULL,
    title                text        NOT NULL,
    description          text        NOT NULL,
    severity             text        NOT NULL,
    status               text        NOT NULL,
    owner_id             text        REFERENCES users,
    escalation_policy_id uuid,
    escalation_state     text        NOT NULL DEFAULT 'none',
    escalation_layer     integer, -- the position that was paged last
    next_page_at         timestamptz,
    acknowledged_at      timestamptz,
    acknowledged_by      text        REFERENCES users,
    acknowledged_via     text,
    created_by           text        NOT NULL REFERENCES users,
    created_via          text, -- the client's name, NULL in the dashboard
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    resolved_at          timestamptz,
    PRIMARY KEY (org_id, id),
    CONSTRAINT incidents_escalation_policy FOREIGN KEY (org_id, escalation_policy_id) REFERENCES escalation_policies,
    CONSTRAINT incidents_sequential_id_unique UNIQUE (org_id, sequential_id),
    CONSTRAINT incidents_title CHECK (char_length(title) BETWEEN 1 AND 100),
    CONSTRAINT incidents_description CHECK (char_length(description) <= 10000),
    CONSTRAINT incidents_severity CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    CONSTRAINT incidents_status CHECK (status IN ('investigating', 'identified', 'monitoring', 'resolved')),
    CONSTRAINT incidents_resolved CHECK ((status = 'resolved') = (resolved_at IS NOT NULL)),
    CONSTRAINT incidents_escalation_state CHECK (escalation_state IN ('none', 'paging', 'acknowledged', 'exhausted')),
    CONSTRAINT incidents_escalation_layer CHECK (escalation_state <> 'paging' OR escalation_layer IS NOT NULL),
    CONSTRAINT incidents_acknowledged CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX incidents_newest ON incidents (org_id, created_at DESC, sequential_id DESC);
CREATE INDEX incidents_newest_by_status ON incidents (org_id, status, created_at DESC, sequential_id DESC);
CREATE INDEX incidents_newest_by_severity ON incidents (org_id, severity, created_at DESC, sequential_id DESC);

CREATE TABLE incident_components (
    org_id       text NOT NULL,
    incident_id  uuid NOT NULL,
    component_id uuid NOT NULL,
    PRIMARY KEY (org_id, incident_id, component_id),
    CONSTRAINT incident_components_incident FOREIGN KEY (org_id, incident_id) REFERENCES incidents ON DELETE CASCADE,
    CONSTRAINT incident_components_component FOREIGN KEY (org_id, component_id) REFERENCES components
);
CREATE INDEX incident_components_component_id ON incident_components (org_id, component_id);

-- Append-only. A redaction takes the body and leaves the row.

CREATE TABLE incident_updates (
    org_id      text        NOT NULL,
    incident_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    body        text,
    visibility  text        NOT NULL,
    posted_by   text        NOT NULL REFERENCES users,
    posted_via  text,
    posted_at   timestamptz NOT NULL,
    redacted_at timestamptz,
    redacted_by text        REFERENCES users,
    PRIMARY KEY (org_id, incident_id, id),
    CONSTRAINT incident_updates_incident FOREIGN KEY (org_id, incident_id) REFERENCES incidents ON DELETE CASCADE,
    CONSTRAINT incident_updates_body CHECK (char_length(body) BETWEEN 1 AND 10000),
    CONSTRAINT incident_updates_visibility CHECK (visibility IN ('internal', 'public')),
    CONSTRAINT incident_updates_redacted CHECK (
        (redacted_at IS NULL) = (redacted_by IS NULL) AND (redacted_at IS NULL) = (body IS NOT NULL))
);

-- What happened to an incident, in order. Whoever adds an event holds the
-- incident's row, so that events of one incident commit in the order of seq.
-- actor_id is NULL where nobody acted: escalation pages by itself.

CREATE TABLE incident_events (
    org_id      text        NOT NULL,
    incident_id uuid        NOT NULL,
    seq         bigint      GENERATED ALWAYS AS IDENTITY,
    id          uuid        NOT NULL,
    type        text        NOT NULL,
    at          timestamptz NOT NULL,
    actor_id    text        REFERENCES users,
    via         text,
    status      text,    -- the status entered: incident_created, status_changed
    note        text,    -- the resolution note, for members only
    layer       integer, -- page_…, escalation_…
    person_id   text     REFERENCES users, -- who was paged, or became the owner
    update_id   uuid,    -- update_posted, update_redacted
    PRIMARY KEY (org_id, incident_id, seq),
    CONSTRAINT incident_events_incident FOREIGN KEY (org_id, incident_id) REFERENCES incidents ON DELETE CASCADE,
    CONSTRAINT incident_events_update FOREIGN KEY (org_id, incident_id, update_id) REFERENCES incident_updates,
    CONSTRAINT incident_events_type CHECK (type IN (
        'incident_created', 'status_changed', 'update_posted', 'update_redacted', 'page_sent', 'page_failed',
        'escalation_advanced', 'escalation_exhausted', 'incident_acknowledged', 'incident_handed_off',
        'owner_changed', 'components_changed')),
    CONSTRAINT incident_events_status CHECK ((type IN ('incident_created', 'status_changed')) = (status IS NOT NULL))
);

-- A person is paged at most once by one layer of one incident.

CREATE TABLE pages (
    org_id      text        NOT NULL,
    incident_id uuid        NOT NULL,
    layer       integer     NOT NULL,
    person_id   text        NOT NULL REFERENCES users,
    paged_at    timestamptz NOT NULL,
    PRIMARY KEY (org_id, incident_id, layer, person_id),
    CONSTRAINT pages_incident FOREIGN KEY (org_id, incident_id) REFERENCES incidents ON DELETE CASCADE
);

-- What a mutation answered, for the caller who asks again (design §11). result
-- is NULL only inside the transaction that is working on it.

CREATE TABLE idempotency_keys (
    org_id         text        NOT NULL REFERENCES organizations,
    user_id        text        NOT NULL REFERENCES users,
    tool           text        NOT NULL,
    key            text        NOT NULL,
    arguments_hash bytea       NOT NULL,
    result         bytea,
    expires_at     timestamptz NOT NULL,
    PRIMARY KEY (org_id, user_id, tool, key),
    CONSTRAINT idempotency_keys_key CHECK (key ~ '^[!-~]{1,255}$')
);
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);
