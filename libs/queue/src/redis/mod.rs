//! The Redis backend: sorted sets by state, hashes for the rest, and one Lua script per step.
//!
//! Everything a script does is bounded by the size of its batch, and nothing has to be set up:
//! after a restart or a `FLUSHALL` the next call finds an empty queue and goes on.
mod check;
mod claims;
mod link;
mod record;
mod scripts;

use crate::{
    Error, Job, NewJob, Options, Pushed, State, Stats,
    claim::{BATCH, readable},
    job::Position,
};
use link::{Link, RESPONSE_TIMEOUT};
use record::Standing;
use scripts::{Call, Scripts};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

#[derive(Clone)]
pub(crate) struct Redis {
    url: Arc<str>,
    link: Link,
    scripts: Arc<Scripts>,
    /// What the server's clock (milliseconds since 1970) showed at some instant.
    clock: Arc<Mutex<Option<(Instant, i64)>>>,
}

impl Redis {
    pub fn open(url: &str) -> Result<Self, Error> {
        Ok(Self {
            url: url.into(),
            link: Link::new(url)?,
            scripts: Arc::new(Scripts::new()),
            clock: Arc::default(),
        })
    }

    pub async fn ping(&self) -> Result<(), Error> {
        self.link.query(&redis::cmd("PING")).await
    }

    /// Cuts the connection of all clones.
    pub fn cutter(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        self.link.cutter()
    }

    pub fn listen(&self, queue: &str) -> Listener {
        Listener {
            link: Link::new(&self.url).expect("this URL was opened before"),
            bell: scripts::bell(queue),
        }
    }

    pub async fn push(
        &self,
        queue: &str,
        jobs: &[NewJob],
        options: &Options,
    ) -> Result<Vec<Pushed>, Error> {
        let mut pushed = Vec::with_capacity(jobs.len());
        for jobs in jobs.chunks(BATCH) {
            let unique: Vec<String> = jobs
                .iter()
                .filter_map(|job| Some(scripts::unique_key(queue, job.unique_key.as_ref()?)))
                .collect();
            let mut call = Call::with_keys(&self.scripts.push, queue, &unique);
            call.arg(millis(options.unique_for));
            let mut key_index = scripts::KEYS.len();
            for job in jobs {
                call.arg(job.id.to_string()).arg(record::encode(job));
                call.arg(
                    job.run_at
                        .map(|at| at.timestamp_millis().to_string())
                        .unwrap_or_default(),
                );
                if job.unique_key.is_some() {
                    key_index += 1;
                    call.arg(key_index);
                } else {
                    call.arg("");
                }
            }
            let new: Vec<bool> = call.run(&self.link).await?;
            pushed.extend(new.into_iter().map(|new| match new {
                true => Pushed::New,
                false => Pushed::Duplicate,
            }));
        }
        Ok(pushed)
    }

    pub async fn job(&self, queue: &str, id: Uuid) -> Result<Option<Job>, Error> {
        type Found = (
            usize,
            f64,
            String,
            Option<u32>,
            Option<String>,
            Option<String>,
        );
        let id = id.to_string();
        let mut call = Call::new(&self.scripts.job, queue);
        let found: Vec<Found> = call.arg(&id).run(&self.link).await?;
        let job = |(state, at, record, failed, last_error, result): Found| {
            let standing = Standing {
                state: State::ALL[state - 1],
                at: at as i64,
                failed: failed.unwrap_or(0),
                last_error,
                result,
                token: 0,
            };
            record::decode(queue, &id, &record, standing)
        };
        found.into_iter().next().map(job).transpose()
    }

    /// Up to `limit` jobs of one state that come after a position, newest first.
    pub async fn jobs(
        &self,
        queue: &str,
        state: State,
        after: &Position,
        limit: usize,
    ) -> Result<Vec<(Position, Job)>, Error> {
        type Found = (
            f64,
            String,
            Option<u32>,
            Option<String>,
            Option<String>,
            String,
        );
        let mut call = Call::new(&self.scripts.list, queue);
        call.arg(after.at).arg(&after.id).arg(limit).arg(set(state));
        let found: Vec<Found> = call.run(&self.link).await?;
        let positioned = |(at, record, failed, last_error, result, id): Found| {
            let at = at as i64;
            let standing = Standing {
                state,
                at,
                failed: failed.unwrap_or(0),
                last_error,
                result,
                token: 0,
            };
            let job = record::decode(queue, &id, &record, standing)?;
            Ok((Position { at, id }, job))
        };
        Ok(readable(found.into_iter().map(positioned)))
    }

    pub async fn stats(&self, queue: &str) -> Result<Stats, Error> {
        let call = Call::new(&self.scripts.stats, queue);
        let (waiting, running, retrying, done, dead, oldest) = call.run(&self.link).await?;
        let oldest: u64 = oldest;
        Ok(Stats {
            waiting,
            running,
            retrying,
            done,
            dead,
            oldest_seconds: oldest as f64 / 1000.0,
        })
    }

    pub async fn retry(&self, queue: &str, id: Uuid) -> Result<(), Error> {
        let mut call = Call::new(&self.scripts.replay, queue);
        call.arg(id.to_string()).run(&self.link).await
    }

    /// Replays a batch of the dead; returns how many.
    pub async fn retry_dead(&self, queue: &str) -> Result<u64, Error> {
        let mut call = Call::new(&self.scripts.replay, queue);
        call.arg(BATCH).arg("").run(&self.link).await
    }

    /// Forgets a batch of what needn't be kept; returns how many jobs that were. Unique keys expire
    /// by themselves.
    pub async fn trim(&self, queue: &str, options: &Options) -> Result<u64, Error> {
        let mut trimmed = 0;
        for (state, kept_for, keep) in options.kept() {
            let mut call = Call::new(&self.scripts.trim, queue);
            call.arg(millis(kept_for)).arg(keep).arg(BATCH);
            trimmed += call.arg(set(state)).run::<u64>(&self.link).await?;
        }
        Ok(trimmed)
    }
}

/// Waits for the queue's bell on a connection of its own.
pub(crate) struct Listener {
    link: Link,
    bell: String,
}

impl Listener {
    /// Cuts its connection.
    pub fn cutter(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        self.link.cutter()
    }

    pub async fn wait(&mut self, at_most: Duration) {
        // Zero would mean for ever.
        let seconds = at_most.as_secs_f64().max(0.001);
        let mut wait = redis::cmd("BLPOP");
        wait.arg(&self.bell).arg(seconds);
        let rung = self
            .link
            .query_within::<()>(at_most + RESPONSE_TIMEOUT, &wait)
            .await;
        if rung.is_err() {
            sleep(at_most).await;
        }
    }
}

/// The place of a state's set among the keys of a script, counted from 1.
fn set(state: State) -> u8 {
    match state {
        State::Waiting => 2,
        State::Running => 3,
        State::Retrying => 4,
        State::Done => 5,
        State::Dead => 6,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
