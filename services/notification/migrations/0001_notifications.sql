-- One row per event, whose id it shares: an event that comes again finds it there.
CREATE TABLE notifications (
    id              UUID PRIMARY KEY,
    order_id        UUID NOT NULL,
    kind            TEXT NOT NULL,
    recipient       TEXT NOT NULL,
    product_id      TEXT NOT NULL,
    quantity        BIGINT NOT NULL,
    total_minor     BIGINT NOT NULL,
    currency        TEXT NOT NULL,
    -- pending, sent or dead
    status          TEXT NOT NULL,
    attempts        BIGINT NOT NULL,
    last_error      TEXT,
    next_attempt_at TIMESTAMPTZ NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL
);
CREATE INDEX notifications_newest ON notifications (created_at, id);
CREATE INDEX notifications_due ON notifications (next_attempt_at) WHERE status = 'pending';
