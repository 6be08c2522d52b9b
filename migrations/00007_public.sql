-- +goose Up

-- What customers may see, and who decides it.

-- The public status page of an organization. Only the components that stand on
-- it, and public incidents that affect one of them, are shown there.

CREATE TABLE status_pages (
    org_id     text        PRIMARY KEY REFERENCES organizations,
    slug       text        NOT NULL, -- /status/{slug}
    name       text        NOT NULL, -- what customers know the organization as
    published  boolean     NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT status_pages_slug_unique UNIQUE (slug),
    CONSTRAINT status_pages_slug CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    CONSTRAINT status_pages_name CHECK (char_length(name) BETWEEN 1 AND 100)
);

CREATE TABLE status_page_components (
    org_id       text    NOT NULL,
    component_id uuid    NOT NULL,
    position     integer NOT NULL,
    PRIMARY KEY (org_id, component_id),
    CONSTRAINT status_page_components_page FOREIGN KEY (org_id) REFERENCES status_pages ON DELETE CASCADE,
    CONSTRAINT status_page_components_component FOREIGN KEY (org_id, component_id) REFERENCES components ON DELETE CASCADE
);

-- What an administrator says of a component, whatever its incidents say.

ALTER TABLE components
    ADD COLUMN status_override text,
    ADD CONSTRAINT components_status_override CHECK (
        status_override IN ('operational', 'degraded', 'partial_outage', 'major_outage', 'maintenance'));

-- An incident is public, title included, from its first public update on, or
-- from its creation by somebody who may publish (design §11). It never becomes
-- secret again.

ALTER TABLE incidents ADD COLUMN public_at timestamptz;

-- The status page asks for open incidents apart from those that are over, and
-- for these by when they ended. Of a timeline it reads what is public, past any
-- number of internal updates and pages.

CREATE INDEX incidents_public_open ON incidents (org_id, created_at DESC)
    WHERE public_at IS NOT NULL AND resolved_at IS NULL;
CREATE INDEX incidents_public_resolved ON incidents (org_id, resolved_at DESC)
    WHERE public_at IS NOT NULL AND resolved_at IS NOT NULL;
CREATE INDEX incident_updates_public ON incident_updates (org_id, incident_id, posted_at DESC)
    WHERE visibility = 'public';

-- What an organization's administrators decided. One without a row has the
-- defaults.

CREATE TABLE org_policies (
    org_id         text        PRIMARY KEY REFERENCES organizations,
    public_updates text        NOT NULL DEFAULT 'confirm_when_possible',
    updated_at     timestamptz NOT NULL,
    updated_by     text        REFERENCES users,
    CONSTRAINT org_policies_public_updates CHECK (
        public_updates IN ('allow', 'confirm_when_possible', 'confirm_always', 'never'))
);
