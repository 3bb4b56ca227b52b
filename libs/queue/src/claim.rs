//! The words the two backends and the two ways to consume share: claims and what becomes of them.
use crate::{Error, Job};
use serde_json::Value;
use std::time::Duration;
use tracing::error;
use uuid::Uuid;

/// How many jobs one statement or script touches at most, so that none takes long.
pub(crate) const BATCH: usize = 500;

/// Jobs handed out under one lease.
pub(crate) struct Claim {
    pub jobs: Vec<Job>,
    /// When the next job is due, as far as is known: `None` when the queue holds no other job or
    /// the claim was filled. Zero when one is due already.
    pub next_due: Option<Duration>,
}

/// Leaves out what can't be read, with a line in the log: one damaged record must not keep the
/// others from being run or listed.
pub(crate) fn readable<T>(jobs: impl Iterator<Item = Result<T, Error>>) -> Vec<T> {
    jobs.filter_map(|job| {
        job.inspect_err(|error| error!(%error, "skipped a stored job"))
            .ok()
    })
    .collect()
}

/// How the run of a claimed job ended. It counts only while the claim does: the token is the fence
/// that keeps a worker that was away too long from touching a job that runs elsewhere by now.
#[derive(Clone, Debug)]
pub(crate) struct Settlement {
    pub id: Uuid,
    pub token: i64,
    pub outcome: Outcome,
}

#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Done {
        result: Option<Value>,
    },
    Retry {
        error: String,
        after: Duration,
    },
    Dead {
        error: String,
    },
    /// Handed back unfinished; the attempt doesn't count.
    Release,
    /// Acknowledged and forgotten.
    Remove,
}

/// What a look for dead workers found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rescue {
    /// So many jobs were taken from workers whose lease had run out; none if leases were not to
    /// be judged.
    Took(u64),
    /// The backend got to it too late. What kept it may have kept the owners from renewing too, so
    /// nothing was taken.
    TooLate,
}

/// What is written as the error of a job whose worker died.
pub(crate) const CRASH: &str = "the worker died while it ran this job";
