CREATE TABLE products (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    price_minor BIGINT NOT NULL CHECK (price_minor >= 0),
    currency    TEXT NOT NULL,
    image       TEXT,
    -- ever put on the shelf; what isn't available any more is in reservations
    stocked     BIGINT NOT NULL,
    available   BIGINT NOT NULL CHECK (available >= 0)
);

-- One row per order id for good: the proof of sale, or the tombstone that refuses a late reserve.
CREATE TABLE reservations (
    order_id         UUID PRIMARY KEY,
    product_id       TEXT NOT NULL REFERENCES products (id),
    quantity         BIGINT NOT NULL CHECK (quantity > 0),
    unit_price_minor BIGINT NOT NULL,
    currency         TEXT NOT NULL,
    -- held, sold or released
    state            TEXT NOT NULL,
    expires_at       TIMESTAMPTZ NOT NULL
);
CREATE INDEX reservations_held ON reservations (expires_at) WHERE state = 'held';
