//! Holds whose order never came: order decides, stock follows.
use crate::{App, error::Result};
use contracts::reservation::Swept;

const BATCH: i64 = 200;

/// Settles every hold that has run out, batch after batch.
pub async fn sweep(app: &App) -> Result<Swept> {
    let mut swept = Swept::default();
    loop {
        let holds = app.store.expired(db::now(), BATCH).await?;
        if holds.is_empty() {
            return Ok(swept);
        }
        let verdicts = app.orders.settle(holds).await?;
        let (sold, released): (Vec<_>, Vec<_>) = verdicts.into_iter().partition(|v| v.confirmed);
        let sold: Vec<_> = sold.iter().map(|v| v.order_id).collect();
        let released: Vec<_> = released.iter().map(|v| v.order_id).collect();
        let before = (swept.sold, swept.released);
        if !sold.is_empty() {
            swept.sold += app.store.sell(&sold).await?;
        }
        if !released.is_empty() {
            swept.released += app.store.release(&released).await?;
        }
        app.metrics.count("sweep", "sold", swept.sold - before.0);
        app.metrics
            .count("sweep", "released", swept.released - before.1);
        if before == (swept.sold, swept.released) {
            // Somebody else settled them meanwhile; the next sweep looks again.
            return Ok(swept);
        }
    }
}
