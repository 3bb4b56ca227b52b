//! What is queued: a job as it is pushed, as it is stored, and how jobs are listed and counted.
use crate::Error;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use telemetry::Context;
use uuid::Uuid;

/// A job to be pushed. [`NewJob::new`] fills in the defaults; every field may be set after that.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Pushing the same id again while that job is still stored changes nothing.
    pub id: Uuid,
    /// Which work this is: what a handler matches on, and the `job` label of the metrics.
    pub kind: String,
    pub payload: Box<RawValue>,
    /// Pushing another job with this key is a duplicate for [`crate::Options::unique_for`],
    /// whatever has become of the first one.
    pub unique_key: Option<String>,
    /// Not before this time; at once when `None`.
    pub run_at: Option<DateTime<Utc>>,
    /// How often the job is started before it is dead; 0 means that it is retried for ever.
    pub max_attempts: u32,
    /// W3C trace context of whoever pushed the job.
    pub traceparent: Option<String>,
    pub request_id: Option<String>,
}

impl NewJob {
    /// A job that may start at once and at most five times, with a new id, in the trace of the
    /// request at hand.
    ///
    /// # Errors
    /// [`Error::Payload`] when the payload has no JSON form.
    pub fn new(kind: impl Into<String>, payload: &impl Serialize) -> Result<Self, Error> {
        let context = Context::current();
        Ok(Self {
            id: Uuid::now_v7(),
            kind: kind.into(),
            payload: serde_json::value::to_raw_value(payload).map_err(Error::Payload)?,
            unique_key: None,
            run_at: None,
            max_attempts: 5,
            traceparent: context.as_ref().map(Context::traceparent),
            request_id: context.map(|c| c.request_id().to_owned()),
        })
    }
}

/// What became of one pushed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    New,
    /// Its id is stored already, or its unique key is still remembered.
    Duplicate,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Never started, or replayed; due now or later.
    Waiting,
    /// A worker holds a lease on it.
    Running,
    /// Failed, and waiting for its next attempt.
    Retrying,
    Done,
    /// Out of attempts, or dropped by its handler: the dead letters.
    Dead,
}

impl State {
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Running,
        Self::Retrying,
        Self::Done,
        Self::Dead,
    ];

    /// The word used in JSON and as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// A stored job.
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    pub id: Uuid,
    pub queue: String,
    pub kind: String,
    pub payload: Box<RawValue>,
    pub state: State,
    /// How often it was started, the present run included. Handing a job back doesn't count.
    pub attempts: u32,
    /// 0 means without limit.
    pub max_attempts: u32,
    pub last_error: Option<String>,
    /// What the handler returned, `None` for JSON's `null`.
    pub result: Option<Value>,
    pub created_at: DateTime<Utc>,
    /// When it was or is due: the next attempt while it is waiting or retrying.
    pub run_at: DateTime<Utc>,
    /// When it was done or died.
    pub finished_at: Option<DateTime<Utc>>,
    pub traceparent: Option<String>,
    pub request_id: Option<String>,
    /// The claim under which this copy was handed out; 0 outside of a claim.
    #[serde(skip)]
    pub(crate) token: i64,
}

impl Job {
    /// The payload as the type the handler expects.
    ///
    /// # Errors
    /// When the payload isn't one.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.payload.get())
    }

    /// The request this job belongs to: a child span of the one that pushed it.
    pub fn context(&self) -> Context {
        Context::from_headers(self.traceparent.as_deref(), self.request_id.as_deref())
    }
}

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// All states when `None`.
    pub state: Option<State>,
    /// How many at most, between 1 and 500; 0 means 50.
    pub limit: usize,
    /// [`Page::next`] of the page before.
    pub after: Option<String>,
}

/// Part of a listing, the newest first: by due time for jobs that wait, by the end of their lease
/// for those that run, by the time they finished for the others.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    pub items: Vec<Job>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<String>,
}

/// How many jobs of a queue are in which state, counted at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    pub waiting: u64,
    pub running: u64,
    pub retrying: u64,
    /// Those not yet trimmed.
    pub done: u64,
    pub dead: u64,
    /// For how many seconds the oldest job that could be running has been due; 0 when none is.
    pub oldest_seconds: f64,
}

impl Stats {
    pub fn count(&self, state: State) -> u64 {
        match state {
            State::Waiting => self.waiting,
            State::Running => self.running,
            State::Retrying => self.retrying,
            State::Done => self.done,
            State::Dead => self.dead,
        }
    }

    pub(crate) fn set(&mut self, state: State, count: u64) {
        match state {
            State::Waiting => self.waiting = count,
            State::Running => self.running = count,
            State::Retrying => self.retrying = count,
            State::Done => self.done = count,
            State::Dead => self.dead = count,
        }
    }
}

/// A place in a listing: what [`Page::next`] says, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Milliseconds since 1970.
    pub at: i64,
    pub id: String,
}

impl Position {
    /// Before everything in a list that starts with the newest.
    pub fn start() -> Self {
        Self {
            at: i64::MAX,
            id: String::new(),
        }
    }

    pub fn parse(cursor: &str) -> Result<Self, Error> {
        let (at, id) = cursor.split_once('.').ok_or(Error::Cursor)?;
        let id: Uuid = id.parse().map_err(|_| Error::Cursor)?;
        Ok(Self {
            at: at.parse().map_err(|_| Error::Cursor)?,
            id: id.to_string(),
        })
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at, self.id)
    }
}
