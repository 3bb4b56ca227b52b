//! Keeps the journal: notes who died, and when each replica is ready again.
use crate::{
    App,
    driver::Watch,
    entry::{DIED, Entry, KILL, ROLLOUT},
    replica::{Replica, State},
    rollout,
};
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A kill without a replacement by then has failed.
const PATIENCE: TimeDelta = TimeDelta::seconds(60);
/// How often to look while a kill, a rollout or a fault is open, or the database or the supervisor away.
const TICK: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// After a failure.
const SOON: Duration = Duration::from_secs(60);
/// Entries older than this are forgotten.
const KEEP: TimeDelta = TimeDelta::days(90);

/// What the journal says of the replicas, and what they are.
#[derive(Default)]
struct Watcher {
    noted: Vec<Replica>,
    present: Vec<Replica>,
    /// Nobody is told twice that something is away.
    failing: bool,
}

/// Runs until stopped. Sleeps while nothing changes and neither kill, rollout nor fault is open.
pub async fn run(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    let mut watcher = Watcher::default();
    let follow = async {
        loop {
            let error = match app.driver.watch().await {
                Ok(watch) => watcher.follow(&app, watch).await,
                Err(error) => error,
            };
            watcher.warn("the replicas can't be watched for now", &error);
            tokio::time::sleep(TICK).await;
        }
    };
    stop.run_until_cancelled(follow).await;
    Ok(())
}

impl Watcher {
    /// Follows the replicas until they can't be seen any more, and says why.
    async fn follow(&mut self, app: &App, mut watch: Watch) -> anyhow::Error {
        let mut look_again = false;
        let mut noted = app.noted.subscribe();
        loop {
            let next = tokio::select! {
                next = watch.next() => Some(next),
                Ok(()) = noted.changed() => None,
                () = tokio::time::sleep(TICK), if look_again => None,
            };
            match next {
                Some(Ok(replicas)) => {
                    self.failing = false;
                    for replica in &replicas {
                        app.metrics.know(&replica.service);
                    }
                    self.present = replicas;
                    app.changes.send_replace(());
                }
                Some(Err(error)) => return error,
                None => {}
            }
            look_again = match self.note(app, db::now()).await {
                Ok(open) => open,
                Err(error) => {
                    self.warn("the journal can't be kept for now", &error.into());
                    true
                }
            };
            app.changes.send_replace(());
        }
    }

    /// Brings the journal up to date; true while a kill, a rollout or a fault is open. May be repeated without harm.
    async fn note(&mut self, app: &App, now: DateTime<Utc>) -> sqlx::Result<bool> {
        for dead in self.deaths() {
            app.store.begin(&Entry::died(dead), None).await?;
        }
        self.noted.clone_from(&self.present);
        let mut open = app.store.pass(now).await?.is_some();
        for entry in app.store.open().await? {
            open |= !self.settle(app, &entry, now).await? && entry.action != DIED;
        }
        Ok(open)
    }

    /// The processes that have ended since the journal was last up to date.
    fn deaths(&self) -> impl Iterator<Item = &Replica> {
        let replaced = self.noted.iter().filter(|old| {
            let new = self.present.iter().find(|new| new.name == old.name);
            // One that was asked to leave has not died.
            new.is_some_and(|new| new.life != old.life) && old.state != State::Draining
        });
        let down = self.present.iter().filter(|r| r.state == State::Down);
        replaced.chain(down)
    }

    /// Ends an outage if it is over; false when it isn't.
    async fn settle(&self, app: &App, entry: &Entry, now: DateTime<Utc>) -> sqlx::Result<bool> {
        if entry.action == ROLLOUT {
            return rollout::settle(app, entry, now).await;
        }
        let replica = self.present.iter().find(|r| r.name == entry.target);
        let renames = app.driver.renames();
        if replica.is_none() && !renames {
            app.store.failed(entry.id, "the replica is gone").await?;
            return Ok(true);
        }
        let another =
            |r: &&Replica| entry.life.as_ref() != Some(&r.life) && r.state == State::Ready;
        let back = replica.filter(another);
        if back.is_some() || (renames && self.replaced(entry)) {
            let took = (now - entry.at).num_milliseconds().max(0);
            if app.store.done(entry.id, took).await? {
                tracing::info!(replica = %entry.target, recovered_ms = took, "{} is ready again", entry.target);
            }
            return Ok(true);
        }
        // One that died and is gone was not wanted any more.
        let waits = entry.action == KILL || replica.is_none();
        let overdue = waits && now - entry.at > PATIENCE;
        if overdue {
            let detail = format!("not ready again within {} s", PATIENCE.num_seconds());
            app.store.failed(entry.id, &detail).await?;
        }
        Ok(overdue)
    }

    /// Has its place been taken by one of another name? It leaves the list as it goes, and one of its
    /// service is ready that began after that.
    fn replaced(&self, entry: &Entry) -> bool {
        // The times of pods are whole seconds.
        let since = entry.at.trunc_subsecs(0);
        let stays = |r: &Replica| r.name == entry.target && r.state != State::Draining;
        let took_over = |r: &Replica| {
            let began = r.started_at.is_some_and(|at| at >= since);
            r.name != entry.target && r.service == entry.service && r.state == State::Ready && began
        };
        !self.present.iter().any(stays) && self.present.iter().any(took_over)
    }

    fn warn(&mut self, what: &str, error: &anyhow::Error) {
        if !self.failing {
            tracing::warn!(error = format!("{error:#}"), "{what}");
        }
        self.failing = true;
    }
}

/// Forgets old entries and alerts: at the start, then once a day.
pub async fn trim(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    let days = async {
        loop {
            let next = match forget(&app).await {
                Ok(()) => DAY,
                Err(error) => {
                    tracing::warn!(%error, "old entries can't be forgotten for now");
                    SOON
                }
            };
            tokio::time::sleep(next).await;
        }
    };
    stop.run_until_cancelled(days).await;
    Ok(())
}

async fn forget(app: &App) -> sqlx::Result<()> {
    let old = db::now() - KEEP;
    app.store.trim(old).await?;
    app.store.trim_alerts(old).await
}
