-- What Alertmanager has told, one row for each time an alert fired.
CREATE TABLE alerts (
    id              UUID PRIMARY KEY,
    -- of the alert's labels, by Alertmanager
    fingerprint     TEXT NOT NULL,
    starts_at       TIMESTAMPTZ NOT NULL,
    ends_at         TIMESTAMPTZ,
    -- firing or resolved
    state           TEXT NOT NULL,
    name            TEXT NOT NULL,
    severity        TEXT NOT NULL,
    team            TEXT,
    summary         TEXT NOT NULL,
    description     TEXT,
    runbook_url     TEXT,
    dashboard_url   TEXT,
    -- all labels, as JSON
    labels          TEXT NOT NULL,
    acknowledged_at TIMESTAMPTZ,
    acknowledged_by TEXT,
    -- when this row last said something new
    changed_at      TIMESTAMPTZ NOT NULL
);
-- Alertmanager repeats itself; a repeat is the same alert.
CREATE UNIQUE INDEX alerts_once ON alerts (fingerprint, starts_at);
CREATE INDEX alerts_newest ON alerts (starts_at, id);
CREATE INDEX alerts_changed ON alerts (changed_at, id);
