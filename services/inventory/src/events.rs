//! Order events: confirmed holds become sales, cancelled orders give their pieces back.
use crate::{App, error::Result};
use contracts::event::{Event, Kind};
use queue::Job;
use sabotage::Bug;
use uuid::Uuid;

/// Works a batch in; every step may be repeated without harm, so the batch may be too.
pub async fn work_in(app: App, jobs: Vec<Job>) -> Result<()> {
    let (mut sold, mut released, mut seen): (Vec<Uuid>, Vec<Uuid>, Vec<Uuid>) = Default::default();
    for job in &jobs {
        match job.parse::<Event>() {
            Ok(event) => {
                seen.push(event.id);
                match event.kind {
                    Kind::OrderConfirmed => sold.push(event.order.id),
                    Kind::OrderCancelled => released.push(event.order.id),
                }
            }
            Err(error) => {
                tracing::error!(job = %job.id, %error, "an order event can't be read and is left out")
            }
        }
    }
    if sabotage::has(Bug::AcknowledgeBeforeEffect) {
        app.orders.acknowledge(seen.clone()).await.ok();
    }
    if !sold.is_empty() {
        let n = app.store.sell(&sold).await?;
        app.metrics.count("sell", "ok", n);
    }
    if !released.is_empty() {
        let n = app.store.release(&released).await?;
        app.metrics.count("release", "ok", n);
    }
    if let Err(error) = app.orders.acknowledge(seen).await {
        // The effect is there; order sends the events again and we acknowledge those.
        tracing::debug!(%error, "events could not be acknowledged");
    }
    Ok(())
}
