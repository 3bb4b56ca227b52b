//! Forgets what is over, a bounded piece at a time.
use crate::store::Store;
use chrono::TimeDelta;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(60);
/// Rows in one statement.
const PIECE: i64 = 500;
/// Longer than any policy remembers an attempt.
const ATTEMPTS: TimeDelta = TimeDelta::hours(1);

/// Runs until stopped; an outage of the database is waited out.
pub async fn run(store: Store, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = clean(&store).await {
            tracing::warn!(%error, "expired rows stay for now");
        }
    }
}

/// Removes ended sessions and attempts long ago.
pub async fn clean(store: &Store) -> sqlx::Result<()> {
    let now = db::now();
    while store.forget_families(now, PIECE).await? == PIECE as u64 {}
    let long_ago = (now - ATTEMPTS).timestamp_millis();
    while store.forget_old_attempts(long_ago, PIECE).await? == PIECE as u64 {}
    Ok(())
}
