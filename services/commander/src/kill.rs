//! Killing a replica: noted first, so that no kill is without a trace, then done.
use crate::{
    App,
    entry::Entry,
    error::{Error, Result},
    replica::{self, Target},
};

/// Kills one replica in the name of `who`; the same `request_key` kills once.
///
/// # Errors
/// When chaos is off, or nobody may be killed now.
pub async fn kill(
    app: &App,
    who: String,
    request_key: Option<&str>,
    target: &Target,
) -> Result<Entry> {
    if !app.chaos {
        return Err(Error::Disabled);
    }
    if let Some(done) = earlier(app, request_key).await? {
        return Ok(done);
    }
    let replicas = app.driver.replicas().await?;
    let busy = app.store.busy().await?;
    let victim = {
        let mut random = app.random.lock().expect("nobody panics while choosing");
        replica::choose(&replicas, target, &busy, &mut random)?
    };
    let entry = Entry::kill(who, victim);
    if !app.store.begin(&entry, request_key).await? {
        // The same request, which came twice at once; else another kill was faster.
        return earlier(app, request_key).await?.ok_or(Error::Busy);
    }
    app.changes.send_replace(());
    tracing::info!(replica = %entry.target, who = %entry.who, "{} is killed on purpose", entry.target);
    if let Err(error) = app.driver.kill(victim, &app.points).await {
        app.store.failed(entry.id, &error.to_string()).await?;
        return Err(error);
    }
    app.metrics.killed(&entry.service, 1);
    Ok(entry)
}

/// What a request with this key has done before.
pub async fn earlier(app: &App, request_key: Option<&str>) -> Result<Option<Entry>> {
    match request_key {
        Some(key) => Ok(app.store.by_key(key).await?),
        None => Ok(None),
    }
}
