-- One row per job, clustered by queue and id. `at` is when something is next due for the row (or
-- was last done), in milliseconds since 1970: its start (waiting, retrying), the end of its lease
-- (running), or when it finished (done, dead). So one index serves claims, rescues and lists.
CREATE TABLE jobs (
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    state INTEGER NOT NULL,
    at INTEGER NOT NULL,
    token INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    last_error TEXT,
    result TEXT,
    created_at INTEGER NOT NULL,
    run_at INTEGER NOT NULL,
    traceparent TEXT,
    request_id TEXT,
    PRIMARY KEY (queue, id)
) WITHOUT ROWID;

CREATE INDEX jobs_by_state ON jobs (queue, state, at, id);

CREATE TABLE unique_keys (
    queue TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (queue, key)
) WITHOUT ROWID;

CREATE INDEX unique_keys_by_expiry ON unique_keys (queue, expires_at);
