//! Brings events from the outbox to the queue, again and again until they are acknowledged.
//!
//! What this replica has just committed it pushes at once, from memory. What is not acknowledged in
//! time, by whichever replica it was written, is claimed from the table and pushed again: after a
//! crash, a lost queue or a slow consumer. The queue drops what it still holds, consumers drop the rest.
use crate::{
    CONSUMERS,
    store::{Delivery, Entry, Store},
};
use chrono::{DateTime, Utc};
use queue::{NewJob, Queue};
use sabotage::{Bug, crash_point};
use std::{collections::HashMap, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// With more jobs than this waiting, the table keeps the backlog.
const DEEP: u64 = 2000;
const BATCH: usize = 256;
const TICK: Duration = Duration::from_secs(1);
/// Pause after a push, in which further events come together for the next one.
const LINGER: Duration = Duration::from_millis(20);

/// Where committed events are handed over.
#[derive(Clone)]
pub struct Outbox {
    fresh: mpsc::Sender<Vec<Entry>>,
    redeliver: Duration,
}

impl Outbox {
    /// When an event written now is pushed again, if nobody has acknowledged it by then.
    pub fn due(&self) -> DateTime<Utc> {
        db::now() + self.redeliver
    }

    /// Passes on what was just committed. When the relay is behind, the table has it all the same.
    pub fn hand_over(&self, entries: Vec<Entry>) {
        self.fresh.try_send(entries).ok();
    }
}

/// The background task, and the end of it that orders are handed to.
pub struct Relay {
    store: Store,
    queue: Queue,
    fresh: mpsc::Receiver<Vec<Entry>>,
    redeliver: Duration,
    /// Queues that are deep, as of the last tick.
    deep: Vec<String>,
    failing: bool,
}

impl Relay {
    /// A relay that pushes again what isn't acknowledged in the time `redeliver`.
    pub fn new(store: Store, queue: Queue, redeliver: Duration) -> (Self, Outbox) {
        let (sender, fresh) = mpsc::channel(256);
        let relay = Self {
            store,
            queue,
            fresh,
            redeliver,
            deep: Vec::new(),
            failing: false,
        };
        let outbox = Outbox {
            fresh: sender,
            redeliver,
        };
        (relay, outbox)
    }

    /// Runs until stopped; outages of the database or the queue are waited out.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut fresh = Vec::new();
        loop {
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = self.fresh.recv_many(&mut fresh, 256) => {
                    let outcome = self.push_fresh(fresh.drain(..).flatten()).await;
                    tokio::time::sleep(LINGER).await;
                    outcome
                }
                _ = tick.tick() => self.redeliver().await,
            };
            self.note(outcome);
        }
        // The requests have ended: what they left goes out before we do.
        while let Ok(entries) = self.fresh.try_recv() {
            fresh.push(entries);
        }
        let outcome = self.push_fresh(fresh.drain(..).flatten()).await;
        self.note(outcome);
        Ok(())
    }

    /// Claims what is overdue, batch after batch, and pushes it.
    async fn redeliver(&mut self) -> anyhow::Result<()> {
        if sabotage::has(Bug::RelayOff) {
            return Ok(());
        }
        let due = self.store.any_due(db::now()).await?;
        if !due && self.deep.is_empty() {
            return Ok(());
        }
        self.deep = self.deep_queues().await?;
        loop {
            let claimed = self
                .store
                .claim_due(db::now(), self.redeliver, BATCH as i64, &self.deep)
                .await?;
            let full = claimed.len() == BATCH;
            crash_point!("order.relay_claimed", !claimed.is_empty());
            self.push_claimed(claimed).await?;
            if !full {
                return Ok(());
            }
            self.deep = self.deep_queues().await?;
        }
    }

    async fn deep_queues(&self) -> anyhow::Result<Vec<String>> {
        let mut deep = Vec::new();
        for name in CONSUMERS {
            if self.queue.stats(name).await?.waiting > DEEP {
                deep.push(name.to_owned());
            }
        }
        Ok(deep)
    }

    /// What was just committed, to every consumer.
    async fn push_fresh(&self, entries: impl Iterator<Item = Entry>) -> anyhow::Result<()> {
        let jobs = entries.map(Entry::job).collect::<Result<Vec<_>, _>>()?;
        for queue in CONSUMERS {
            self.push(queue, &jobs).await?;
        }
        Ok(())
    }

    /// What was due again, to whom it was due.
    async fn push_claimed(&self, deliveries: Vec<Delivery>) -> anyhow::Result<()> {
        let mut queues: HashMap<String, Vec<NewJob>> = HashMap::new();
        for Delivery { queue, entry } in deliveries {
            queues.entry(queue).or_default().push(entry.job()?);
        }
        for (queue, jobs) in queues {
            self.push(&queue, &jobs).await?;
        }
        Ok(())
    }

    /// A deep queue gets nothing: the table keeps it.
    async fn push(&self, queue: &str, jobs: &[NewJob]) -> anyhow::Result<()> {
        if self.deep.iter().any(|deep| deep == queue) {
            return Ok(());
        }
        for jobs in jobs.chunks(BATCH) {
            self.queue.push(queue, jobs).await?;
            crash_point!("order.relay_pushed");
        }
        Ok(())
    }

    /// One line when an outage begins and one when it ends.
    fn note(&mut self, outcome: anyhow::Result<()>) {
        let failing = outcome.is_err();
        match outcome {
            Ok(()) if self.failing => tracing::info!("the outbox is being delivered again"),
            Err(error) if !self.failing => {
                tracing::warn!("the outbox can't be delivered for now: {error}");
            }
            _ => {}
        }
        self.failing = failing;
    }
}
