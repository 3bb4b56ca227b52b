//! Giving a service a new version: noted first, then begun; the watcher notes how it ended.
use crate::{
    App,
    entry::{Entry, ROLLOUT},
    error::{Error, Result},
    kill,
};
use chrono::{DateTime, TimeDelta, Utc};
use control::Phase;
use serde::Deserialize;

/// So long after its entry the supervisor knows a rollout, or never will.
const ACCEPTED: TimeDelta = TimeDelta::seconds(5);

/// Which service gets a new version.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// All its replicas are replaced, one after the other.
    pub service: String,
    /// A version that never gets ready; the rollout takes it back by itself.
    #[serde(default)]
    pub broken: bool,
}

/// Begins a rollout in the name of `who`; the same `request_key` begins one.
///
/// # Errors
/// When chaos is off, there is no such service, or another rollout runs.
pub async fn begin(
    app: &App,
    who: String,
    request_key: Option<&str>,
    order: &Order,
) -> Result<Entry> {
    if !app.chaos {
        return Err(Error::Disabled);
    }
    if let Some(done) = kill::earlier(app, request_key).await? {
        return Ok(done);
    }
    if !app.driver.rolls_out() {
        return Err(Error::NotAvailableHere);
    }
    let replicas = app.driver.replicas().await?;
    if !replicas.iter().any(|r| r.service == order.service) {
        return Err(Error::NoSuchService);
    }
    let open = app.store.open().await?;
    if open.iter().any(|entry| entry.action == ROLLOUT) {
        return Err(Error::RollingOut);
    }
    let entry = Entry::rollout(&who, &order.service, order.broken);
    if !app.store.begin(&entry, request_key).await? {
        // The same request, which came twice at once; else another rollout was faster.
        let earlier = kill::earlier(app, request_key).await?;
        return earlier.ok_or(Error::RollingOut);
    }
    app.changes.send_replace(());
    tracing::info!(service = %entry.service, who = %entry.who, broken = order.broken, "{} gets a new version", entry.service);
    let id = entry.id.to_string();
    if let Err(error) = app.driver.roll_out(&id, &order.service, order.broken).await {
        app.store.failed(entry.id, &error.to_string()).await?;
        return Err(error);
    }
    Ok(entry)
}

/// Notes the end of a rollout; false while it runs.
pub async fn settle(app: &App, entry: &Entry, now: DateTime<Utc>) -> sqlx::Result<bool> {
    // Without the supervisor nothing is known; it is asked again.
    let Ok(known) = app.driver.progress(&entry.id.to_string()).await else {
        return Ok(false);
    };
    match known {
        None if now - entry.at < ACCEPTED => return Ok(false),
        None => {
            let lost = "the supervisor does not know of it";
            app.store.failed(entry.id, lost).await?;
        }
        Some(rollout) => match rollout.phase {
            Phase::Running => return Ok(false),
            Phase::Done => {
                let took = (now - entry.at).num_milliseconds().max(0);
                app.store.done(entry.id, took).await?;
            }
            Phase::RolledBack => {
                let reason = rollout.reason.unwrap_or_default();
                let detail = format!("rolled back: {reason}");
                app.store.failed(entry.id, &detail).await?;
            }
        },
    }
    Ok(true)
}
