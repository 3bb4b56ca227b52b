-- Loads, drills and exercises: who began them, how far they are, what came of them.
CREATE TABLE runs (
    id       UUID PRIMARY KEY,
    at       TIMESTAMPTZ NOT NULL,
    who      TEXT NOT NULL,
    -- load, or drill: one of each at a time
    lane     TEXT NOT NULL,
    -- load, drill or exercise
    kind     TEXT NOT NULL,
    -- of the drill; of a load what it sends
    name     TEXT NOT NULL,
    seed     BIGINT NOT NULL,
    hidden   BOOLEAN NOT NULL,
    -- running, over, or lost with the process that ran it
    state    TEXT NOT NULL,
    stop     BOOLEAN NOT NULL,
    -- the last sign of life of who runs it
    seen_at  TIMESTAMPTZ NOT NULL,
    hints    BIGINT NOT NULL,
    verdict  TEXT,
    -- JSON: how far it is
    live     TEXT NOT NULL,
    -- JSON and Markdown: what came of it
    report   TEXT,
    markdown TEXT
);
CREATE UNIQUE INDEX runs_present ON runs (lane) WHERE state = 'running';
CREATE INDEX runs_newest ON runs (at, id);
