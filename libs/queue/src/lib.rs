//! A durable job queue with two backends chosen by URL: a SQLite file that the processes of one
//! machine share, or Redis. Same behaviour, same tests.
//!
//! Delivery is at least once: a worker that dies, or is stopped for longer than its lease, has its
//! jobs run again elsewhere. Handlers are therefore idempotent by the job's id.
//!
//! ```no_run
//! # async fn example(shutdown: tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
//! use queue::{Failure, Job, NewJob, Queue};
//!
//! let queue = Queue::open("sqlite:.seawall/queue.db").await?;
//! queue.push("mails", &[NewJob::new("welcome", &"ada@example.com")?]).await?;
//!
//! let send = |job: Job| async move {
//!     let to: String = job.parse().map_err(|e| Failure::Drop(e.into()))?;
//!     Ok(serde_json::json!({ "sent_to": to }))
//! };
//! queue.worker("mails").concurrency(8).run(send, shutdown).await;
//! # Ok(()) }
//! ```
mod backend;
mod batches;
mod claim;
mod consumer;
mod error;
mod job;
mod metrics;
mod options;
mod redis;
mod settings;
mod source;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
mod worker;

use backend::Backend;
pub use batches::Batches;
pub use error::Error;
use gate::Gate;
use job::Position;
pub use job::{Filter, Job, NewJob, Page, Pushed, State, Stats};
pub use metrics::Metrics;
pub use options::Options;
pub use settings::Settings;
use std::time::Duration;
use uuid::Uuid;
pub use worker::{Failure, Worker};

/// The longest page [`Queue::jobs`] returns.
const MAX_PAGE: usize = 500;

/// A connection to the queues of one SQLite file or Redis. Cheap to clone.
///
/// A queue comes into being with its first job. All calls fail rather than wait when the backend
/// is away: after a second with Redis, five with a locked SQLite file.
#[derive(Clone)]
pub struct Queue {
    backend: Backend,
    options: Options,
}

impl Queue {
    /// Opens `sqlite:PATH` (made if need be) or `redis://HOST[:PORT][/DB]` (connected at the first
    /// call, so that a service can start before its Redis). A Redis that is there is asked whether jobs
    /// are safe with it.
    ///
    /// # Errors
    /// [`Error::Url`] for other URLs, [`Error::Refused`] or [`Error::Evicts`] when this Redis won't do, or
    /// whatever keeps the file from being opened.
    pub async fn open(url: &str) -> Result<Self, Error> {
        Self::open_with(url, Options::default()).await
    }

    /// [`Self::open`] with other timing and limits.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(url: &str, options: Options) -> Result<Self, Error> {
        let backend = Backend::open(url).await?;
        Ok(Self { backend, options })
    }

    /// The same queues behind a gate, which whoever breaks things on purpose may shut. Clones made
    /// before know nothing of it.
    #[must_use]
    pub fn behind(self, gate: &Gate) -> Self {
        let backend = self.backend.behind(gate);
        Self { backend, ..self }
    }

    /// Whether the backend answers.
    ///
    /// # Errors
    /// When it doesn't.
    pub async fn ping(&self) -> Result<(), Error> {
        self.backend.ping().await
    }

    /// Closes the connections of this and all clones, once the calls in flight are through.
    pub async fn close(&self) {
        self.backend.close().await;
    }

    /// Stores jobs, all of them in one go, and says for each whether it is new.
    ///
    /// # Errors
    /// When the backend is away. Some of the jobs may have been stored all the same, so push the
    /// same ones again: those will be duplicates.
    pub async fn push(&self, queue: &str, jobs: &[NewJob]) -> Result<Vec<Pushed>, Error> {
        let (jobs, _spans) = trace::pushed(queue, jobs);
        self.backend.push(queue, &jobs, &self.options).await
    }

    /// # Errors
    /// When the backend is away.
    pub async fn job(&self, queue: &str, id: Uuid) -> Result<Option<Job>, Error> {
        self.backend.job(queue, id).await
    }

    /// One page of a queue's jobs, newest first.
    ///
    /// # Errors
    /// [`Error::Cursor`] when [`Filter::after`] isn't the `next` of another page, or when the
    /// backend is away.
    pub async fn jobs(&self, queue: &str, filter: Filter) -> Result<Page, Error> {
        let limit = match filter.limit {
            0 => 50,
            limit => limit.min(MAX_PAGE),
        };
        let after = match &filter.after {
            Some(cursor) => Position::parse(cursor)?,
            None => Position::start(),
        };
        let states = match &filter.state {
            Some(state) => std::slice::from_ref(state),
            None => &State::ALL,
        };
        let mut found = Vec::new();
        for state in states {
            // One more than asked for tells whether there is a next page.
            found.extend(self.backend.jobs(queue, *state, &after, limit + 1).await?);
        }
        found.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(at, _)| at.to_string());
        Ok(Page {
            items: found.into_iter().map(|(_, job)| job).collect(),
            next,
        })
    }

    /// Lets a dead or retrying job start now, with all its attempts before it; any other is left
    /// alone. Returns the job as it is after that, `None` if there is none.
    ///
    /// # Errors
    /// When the backend is away.
    pub async fn retry(&self, queue: &str, id: Uuid) -> Result<Option<Job>, Error> {
        self.backend.retry(queue, id).await?;
        self.job(queue, id).await
    }

    /// [`Self::retry`] for all jobs that are dead now; returns how many there were.
    ///
    /// # Errors
    /// When the backend is away; some may have been replayed.
    pub async fn retry_dead(&self, queue: &str) -> Result<u64, Error> {
        // Those that die again meanwhile are not replayed for ever.
        let dead = self.stats(queue).await?.dead;
        let mut replayed = 0;
        while replayed < dead {
            match self.backend.retry_dead(queue).await? {
                0 => break,
                count => replayed += count,
            }
        }
        Ok(replayed)
    }

    /// # Errors
    /// When the backend is away.
    pub async fn stats(&self, queue: &str) -> Result<Stats, Error> {
        self.backend.stats(queue).await
    }

    /// Forgets jobs that were done longer ago than this, and all but the newest
    /// [`Options::keep_done`]; and dead ones as the options say. Returns how many. Workers do the same by
    /// themselves with [`Options::keep_done_for`].
    ///
    /// # Errors
    /// When the backend is away.
    pub async fn trim(&self, queue: &str, done_older_than: Duration) -> Result<u64, Error> {
        let options = Options {
            keep_done_for: done_older_than,
            ..self.options
        };
        let mut trimmed = 0;
        loop {
            match self.backend.trim(queue, &options).await? {
                0 => return Ok(trimmed),
                count => trimmed += count,
            }
        }
    }

    /// Consumes a queue in batches: for events that are handled many at a time and forgotten once
    /// they are.
    pub fn batches(&self, queue: &str) -> Batches {
        Batches::new(self.clone(), queue)
    }

    /// Runs a queue's jobs one by one, several at the same time, and keeps their results.
    pub fn worker(&self, queue: &str) -> Worker {
        Worker::new(self.clone(), queue)
    }
}
