//! Delivers pending notifications: tries, waits longer each time, gives up in the end.
use crate::{
    App,
    mail::Mailer,
    notification::{Notification, backoff},
};
use chrono::TimeDelta;
use sabotage::crash_point;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Mails sent at once by one replica.
const PARALLEL: i64 = 8;
/// A claim outlasts the longest try, so that a mail is not sent by two replicas at once.
const CLAIM: TimeDelta = TimeDelta::seconds(60);
const TICK: Duration = Duration::from_secs(1);

/// Runs until stopped; what is being sent then is finished.
pub async fn run(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    let Some(mailer) = app.mailer.clone() else {
        stop.cancelled().await;
        return Ok(());
    };
    let mut failing = false;
    while !stop.is_cancelled() {
        let outcome = round(&app, &mailer).await;
        if let Err(error) = &outcome
            && !failing
        {
            tracing::warn!(%error, "notifications can't be delivered for now");
        }
        failing = outcome.is_err();
        if !outcome.unwrap_or(false) {
            tokio::select! {
                () = stop.cancelled() => {}
                () = app.due.notified() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }
    Ok(())
}

/// One batch; true when there may be more.
async fn round(app: &App, mailer: &Mailer) -> sqlx::Result<bool> {
    let now = db::now();
    if !app.store.any_due(now).await? {
        return Ok(false);
    }
    let due = app.store.claim_due(now, now + CLAIM, PARALLEL).await?;
    let more = due.len() as i64 == PARALLEL;
    let tries = due
        .into_iter()
        .map(|notification| deliver(app, mailer, notification));
    for outcome in futures::future::join_all(tries).await {
        outcome?;
    }
    Ok(more)
}

async fn deliver(app: &App, mailer: &Mailer, n: Notification) -> sqlx::Result<()> {
    let error = match mailer.send(&n).await {
        Ok(()) => {
            crash_point!("notification.mailed");
            app.metrics.count("sent", 1);
            app.store.sent(n.id, n.attempts).await?;
            crash_point!("notification.recorded");
            return Ok(());
        }
        Err(error) => error,
    };
    // The server's words may hold the address; the log doesn't get them.
    let text: String = error.to_string().chars().take(500).collect();
    if error.is_permanent() || n.attempts >= app.max_attempts {
        tracing::warn!(notification = %n.id, attempts = n.attempts, "a mail was given up");
        app.metrics.count("dead", 1);
        return app.store.dead(n.id, n.attempts, &text).await;
    }
    app.metrics.count("retried", 1);
    app.store
        .retry(n.id, n.attempts, db::now() + backoff(n.attempts), &text)
        .await
}
