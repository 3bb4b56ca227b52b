//! Order events: each becomes one notification, however often it comes.
use crate::{App, error::Result, notification::Notification};
use contracts::event::Event;
use queue::Job;
use sabotage::Bug;
use uuid::Uuid;

/// Works a batch in; may be repeated without harm.
pub async fn work_in(app: App, jobs: Vec<Job>) -> Result<()> {
    let now = db::now();
    let mut notifications = Vec::with_capacity(jobs.len());
    for job in &jobs {
        match job.parse::<Event>() {
            Ok(event) => notifications.push(Notification::pending(event, now)),
            Err(error) => {
                tracing::error!(job = %job.id, %error, "an order event can't be read and is left out")
            }
        }
    }
    if notifications.is_empty() {
        return Ok(());
    }
    let mailbox = app.mailer.is_none();
    if mailbox {
        notifications = notifications
            .into_iter()
            .map(Notification::in_mailbox)
            .collect();
    }
    let seen: Vec<Uuid> = notifications.iter().map(|n| n.id).collect();
    if sabotage::has(Bug::AcknowledgeBeforeEffect) {
        app.orders.acknowledge(seen.clone()).await.ok();
    }
    if sabotage::has(Bug::NoUniqueKey) {
        notifications.iter_mut().for_each(|n| n.id = Uuid::now_v7());
    }
    let new = app.store.insert(&notifications).await?;
    if mailbox {
        app.metrics.count("sent", new);
    } else if new > 0 {
        app.due.notify_one();
    }
    if let Err(error) = app.orders.acknowledge(seen).await {
        // The effect is there; order sends the events again and we acknowledge those.
        tracing::debug!(%error, "events could not be acknowledged");
    }
    Ok(())
}
