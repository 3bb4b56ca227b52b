CREATE TABLE users (
    id           UUID PRIMARY KEY,
    username     TEXT NOT NULL,
    -- what the name looks like: two names that can be taken for each other share it
    skeleton     TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    email        TEXT,
    avatar       TEXT,
    -- Argon2id, as a PHC string
    password     TEXT NOT NULL,
    -- user or operator
    role         TEXT NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX users_newest ON users (created_at, id);

-- One row for each login: all refresh tokens that follow from it.
CREATE TABLE families (
    id         UUID PRIMARY KEY,
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    revoked_at TIMESTAMPTZ
);
CREATE INDEX families_of_user ON families (user_id);
CREATE INDEX families_expiry ON families (expires_at);

-- Used ones stay until the family ends, so that their reuse is noticed.
CREATE TABLE refresh_tokens (
    -- SHA-256 of the token
    hash      BYTEA PRIMARY KEY,
    family_id UUID NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    used_at   TIMESTAMPTZ
);
CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family_id);

-- Replicas that make a key at the same moment make the same generation: one of them wins.
CREATE TABLE signing_keys (
    generation  BIGINT PRIMARY KEY,
    kid         TEXT NOT NULL UNIQUE,
    public_key  BYTEA NOT NULL,
    -- seed of the private key, encrypted
    private_key BYTEA NOT NULL,
    signs_from  TIMESTAMPTZ NOT NULL
);

-- Attempts by account and by address. Times are Unix milliseconds, since the statement computes with them.
CREATE TABLE attempts (
    subject       TEXT PRIMARY KEY,
    failures      BIGINT NOT NULL,
    -- no further attempt before; when the last one was, if it cost no wait
    blocked_until BIGINT NOT NULL
);
CREATE INDEX attempts_oldest ON attempts (blocked_until);
