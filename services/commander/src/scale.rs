//! Giving a workload of the cluster more pods, fewer, or none.
use crate::{
    App,
    entry::{Entry, SCALE},
    error::{Error, Result},
    kill,
};
use chrono::TimeDelta;
use serde::Deserialize;
use service::Problem;

/// More pods than anybody runs on a practice range.
const MOST: u32 = 50;
/// What may be scaled: not commander, which would have nobody to scale it back.
const WORKLOADS: [&str; 9] = [
    "gateway",
    "order",
    "inventory",
    "notification",
    "auth",
    "image",
    "worker",
    "postgres",
    "redis",
];
/// By then the API server has answered.
const ANSWERED: TimeDelta = TimeDelta::seconds(30);

/// How many pods of which workload.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// A service, `postgres` or `redis`.
    pub workload: String,
    /// 0 to 50; 0 stops it.
    pub pods: u32,
}

/// Scales in the name of `who`; the same `request_key` scales once.
///
/// # Errors
/// When chaos is off, there is no such workload, or the environment has a fixed number of replicas.
pub async fn scale(
    app: &App,
    who: &str,
    request_key: Option<&str>,
    order: &Order,
) -> Result<Entry> {
    if !app.chaos {
        return Err(Error::Disabled);
    }
    if !app.driver.scales() {
        return Err(Error::NotAvailableHere);
    }
    let Order { workload, pods } = order;
    if !WORKLOADS.contains(&&**workload) {
        return Err(Error::NoSuchService);
    }
    if *pods > MOST {
        let problem = Problem::invalid("/pods", format!("is at most {MOST}"));
        return Err(Error::Invalid(problem));
    }
    let (entry, new) = match note(app, who, request_key, workload, *pods).await {
        Ok(noted) => noted,
        // The journal's own database may be what comes back by this.
        Err(Error::Database(error)) if *pods > 0 && db::is_unavailable(&error) => {
            tracing::warn!(%error, workload, pods, "scaled without a word in the journal");
            app.driver.scale(workload, *pods).await?;
            return Ok(entry(who, workload, *pods));
        }
        Err(error) => return Err(error),
    };
    if !new {
        return Ok(entry);
    }
    app.changes.send_replace(());
    tracing::info!(workload, pods, who, "{workload} is scaled");
    if let Err(error) = app.driver.scale(workload, *pods).await {
        app.store.failed(entry.id, &error.to_string()).await?;
        return Err(error);
    }
    Ok(entry)
}

/// The entry of this request, and whether it is the first of its key.
async fn note(
    app: &App,
    who: &str,
    request_key: Option<&str>,
    workload: &str,
    pods: u32,
) -> Result<(Entry, bool)> {
    if let Some(done) = kill::earlier(app, request_key).await? {
        return Ok((done, false));
    }
    let entry = entry(who, workload, pods);
    if app.store.begin(&entry, request_key).await? {
        return Ok((entry, true));
    }
    // The same request came twice at once.
    let earlier = kill::earlier(app, request_key).await?;
    Ok((earlier.ok_or(Error::Busy)?, false))
}

fn entry(who: &str, workload: &str, pods: u32) -> Entry {
    let brief = Entry::brief(who, SCALE, workload, workload);
    Entry {
        detail: Some(format!("to {pods} pods")),
        ends_at: Some(brief.at + ANSWERED),
        ..brief
    }
}
