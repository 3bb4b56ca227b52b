//! What can go wrong with a call to the queue.

/// Why a call to the queue failed. Apart from [`Error::Payload`], [`Error::Cursor`] and
/// [`Error::Url`] the same call may succeed later; [`Error::Refused`] and [`Error::Evicts`] need somebody
/// to change a setting before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the queue's URL starts with neither sqlite: nor redis://")]
    Url,
    #[error("the payload has no JSON form")]
    Payload(#[source] serde_json::Error),
    #[error("the cursor was not made by this list")]
    Cursor,
    #[error("the queue's SQLite file failed: {0}")]
    Sqlite(#[from] sqlx::Error),
    #[error("Redis failed: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("Redis at {place} doesn't let us in; check the user and the password in REDIS_URL")]
    Refused {
        place: String,
        source: redis::RedisError,
    },
    #[error(
        "Redis at {place} would throw jobs away when its memory is full; \
         set its maxmemory-policy to noeviction, now it is {policy}"
    )]
    Evicts { place: String, policy: String },
    #[error("the queue did not answer in time")]
    Timeout,
    #[error("a stored job is unreadable: {0}")]
    Unreadable(String),
}
