//! Reads back what is stored, and waits until the platform has settled.
use super::{evidence::Evidence, findings::Findings, judge::audit};
use crate::load::{
    ledger::{Catalogue, Ledger},
    shop::Shop,
};
use chrono::{DateTime, Utc};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at what is held.
const HOLD_LOOK: Duration = Duration::from_millis(250);
/// Between two audits.
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

/// How long an audit waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For events that are still on their way; they look like losses.
    pub settle: Duration,
    /// After that, for holds of orders that never came to run out.
    pub holds: Duration,
}

/// Audits again and again until the result is clean or patience is at its end.
pub async fn settled_audit(
    shop: &mut Shop,
    subject: Subject<'_>,
    patience: Patience,
) -> anyhow::Result<Findings> {
    let settled = Instant::now() + patience.settle;
    let (mut deadline, last) = (settled, settled + patience.holds);
    let mut pause = FIRST_PAUSE;
    loop {
        // One cheap call tells when it is too early to read all lists.
        while Instant::now() < deadline && is_held(shop).await? {
            sleep(HOLD_LOOK).await;
        }
        let findings = audit(&collect(shop, &subject).await?, subject.ledger);
        if findings.is_clean() || Instant::now() >= last {
            return Ok(findings);
        }
        if Instant::now() >= settled {
            if !findings.is_only_held() {
                return Ok(findings);
            }
            if deadline == settled {
                eprintln!("waiting up to {:?} for holds to run out", patience.holds);
            }
            deadline = last;
        }
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}

/// Whether any piece of any product is held for an order under way.
async fn is_held(shop: &mut Shop) -> anyhow::Result<bool> {
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
