//! The control socket of the supervisor, `DATA/control.sock`: its messages, server and client.
//!
//! One request a connection, one JSON line each way; a watch gets a line after each change, too.
//! The socket's mode (0600) is its access control: whoever may open the data folder's files may
//! stop what works on them.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let client = control::Client::of(std::path::Path::new(".seawall"));
//! client.kill("order-2", control::Signal::Kill).await?;
//! let mut watch = client.watch().await?;
//! println!("{:?}", watch.next().await?);
//! # Ok(()) }
//! ```
mod client;
mod server;

pub use client::{Client, Watch};
pub use server::{listen, serve};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

/// A peer that is slower than this has lost interest.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the supervisor whose data folder is `data` listens.
#[must_use]
pub fn socket(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Describe every replica.
    List,
    /// Describe every replica now and after each change, until the client hangs up.
    Watch,
    /// Send a signal to the process of one replica.
    Kill {
        /// Such as `order-2`.
        name: String,
        /// Which signal.
        signal: Signal,
    },
    /// Replace the replicas of a service one after the other, each only once another is ready.
    Rollout {
        /// How the client calls this rollout.
        id: String,
        /// Such as `order`.
        service: String,
        /// The new version never gets ready.
        #[serde(default)]
        broken: bool,
    },
    /// Describe the rollout that runs, or the last one.
    Progress,
}

/// What the supervisor answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Response {
    /// To [`Request::List`]; to [`Request::Watch`] again and again.
    List {
        /// In the order of the table of services.
        replicas: Vec<Replica>,
    },
    /// To [`Request::Kill`]: the signal is sent.
    Done {
        /// Always true.
        ok: bool,
        /// Who got the signal.
        pid: u32,
    },
    /// Why nothing was done.
    Refused {
        /// One line.
        error: String,
    },
    /// The last one, since every object reads as one without a rollout. To [`Request::Rollout`] and [`Request::Progress`].
    Rollout {
        /// None: there has been none yet.
        rollout: Option<Rollout>,
    },
}

/// How a service gets its new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// As its client calls it.
    pub id: String,
    /// Such as `order`.
    pub service: String,
    /// How far it is.
    pub phase: Phase,
    /// Why it was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Replicas are being replaced.
    Running,
    /// All are.
    Done,
    /// The new version did not get ready; the replicas that were left are the old ones.
    RolledBack,
}

/// The signals a client may have sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// A crash.
    Kill,
    /// A request to drain and leave.
    Term,
    /// A freeze.
    Stop,
    /// The end of a freeze.
    Cont,
}

impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Kill => Self::KILL,
            Signal::Term => Self::TERM,
            Signal::Stop => Self::STOP,
            Signal::Cont => Self::CONT,
        }
    }
}

/// One replica as the supervisor sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// `SERVICE-N`.
    pub name: String,
    /// Such as `order`.
    pub service: String,
    /// Counted from 1.
    pub replica: u16,
    /// None between two lives.
    pub pid: Option<u32>,
    /// Where it is in its life.
    pub state: State,
    /// How often the supervisor has started it again.
    pub restarts: u32,
    /// Start of the present (or last) process.
    pub started_at: DateTime<Utc>,
    /// Base URL of the API; the gateway's replicas share one.
    pub api: String,
    /// Base URL of the ops listener.
    pub ops: String,
}

/// Where a replica is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Started, not ready yet.
    Starting,
    /// Has answered `/readyz` with 200.
    Ready,
    /// Dead, waiting for its next start.
    Backoff,
    /// Was asked to leave.
    Stopping,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Backoff => "backoff",
            Self::Stopping => "stopping",
        })
    }
}
