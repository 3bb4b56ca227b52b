CREATE TABLE orders (
    id          UUID PRIMARY KEY,
    product_id  TEXT NOT NULL,
    quantity    BIGINT NOT NULL CHECK (quantity > 0),
    email       TEXT NOT NULL,
    -- confirmed, cancelled, or expired: a tombstone for a hold whose order never came
    status      TEXT NOT NULL,
    total_minor BIGINT NOT NULL CHECK (total_minor >= 0),
    currency    TEXT NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX orders_newest ON orders (created_at, id);

-- One row for each event and queue, until the consumer behind that queue has acknowledged it.
CREATE TABLE outbox (
    event_id    UUID NOT NULL,
    queue       TEXT NOT NULL,
    event       TEXT NOT NULL,
    traceparent TEXT,
    request_id  TEXT,
    created_at  TIMESTAMPTZ NOT NULL,
    -- pushed (again) when this has passed
    due_at      TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (event_id, queue)
);
CREATE INDEX outbox_due ON outbox (due_at);
