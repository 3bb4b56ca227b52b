-- What was broken, by whom, and when it was whole again.
CREATE TABLE journal (
    id           UUID PRIMARY KEY,
    at           TIMESTAMPTZ NOT NULL,
    who          TEXT NOT NULL,
    -- kill, or died: nobody asked for it
    action       TEXT NOT NULL,
    target       TEXT NOT NULL,
    service      TEXT NOT NULL,
    -- the process that ended; null where none did
    life         TEXT,
    -- of the request, so that a repeat of it kills nobody else
    request_key  TEXT UNIQUE,
    -- started, done or failed
    outcome      TEXT NOT NULL,
    detail       TEXT,
    recovered_ms BIGINT
);
CREATE INDEX journal_newest ON journal (at, id);
-- A process ends once, however many replicas of commander see it.
CREATE UNIQUE INDEX journal_lives ON journal (target, life);
-- A replica that dies again before it is ready has one outage, not many.
CREATE UNIQUE INDEX journal_outages ON journal (target) WHERE outcome = 'started';
-- One kill at a time in each service.
CREATE UNIQUE INDEX journal_kills ON journal (service) WHERE outcome = 'started' AND action = 'kill';
