//! Reads back what is stored, and waits until the platform has settled.
use super::{
    audit::audit,
    evidence::Evidence,
    findings::Findings,
    ledger::{Catalogue, Ledger},
    shop::Shop,
};
use chrono::{DateTime, Utc};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What an audit starts from.
#[derive(Default)]
pub struct Subject<'a> {
    /// Of the ledger's products; others are added.
    pub catalogue: Catalogue,
    /// None to audit only what is stored.
    pub ledger: Option<&'a Ledger>,
    /// When the run began.
    pub since: Option<DateTime<Utc>>,
}

/// Audits again and again until the result is clean or `limit` has passed: events that are
/// still on their way look like losses.
pub async fn settled_audit(
    shop: &mut Shop,
    subject: Subject<'_>,
    limit: Duration,
) -> anyhow::Result<Findings> {
    let deadline = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        // One cheap call tells that it is too early to read all lists.
        if !is_held(shop).await? || Instant::now() >= deadline {
            let evidence = collect(shop, &subject).await?;
            let findings = audit(&evidence, subject.ledger);
            if findings.is_clean() || Instant::now() >= deadline {
                return Ok(findings);
            }
        }
        sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Whether any piece of any product is held for an order under way.
pub async fn is_held(shop: &mut Shop) -> anyhow::Result<bool> {
    Ok(shop.stock().await?.iter().any(|stock| stock.held > 0))
}

async fn collect(shop: &mut Shop, subject: &Subject<'_>) -> anyhow::Result<Evidence> {
    let mut evidence = Evidence {
        catalogue: subject.catalogue.clone(),
        ..Evidence::default()
    };
    // Mails first: then every mail's order is among the orders read after it.
    shop.each("/api/notifications", |item| evidence.add_mail(item))
        .await?;
    shop.each("/api/orders", |item| {
        evidence.add_order(&item, subject.since)
    })
    .await?;
    evidence.stock = shop.stock().await?;
    Ok(evidence)
}
