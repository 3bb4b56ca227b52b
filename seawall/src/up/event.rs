//! What happens to replicas, and how people are told.
use super::replica::DRAIN_LIMIT;
use control::Signal;
use std::{fmt, io, os::unix::process::ExitStatusExt as _, process::ExitStatus, time::Duration};

/// Something that happened to a replica.
#[derive(Debug)]
pub struct Event {
    /// Its name; that of its service when it is about all its replicas.
    pub replica: String,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen to a replica.
#[derive(Debug)]
pub enum EventKind {
    /// It answers, so long after its start.
    Ready(u32, Duration),
    /// It could not even be started.
    NotStarted(io::Error, Duration),
    /// Its process ended by itself or by somebody else's signal, and starts again after the pause.
    Died(ExitStatus, Option<String>, Duration),
    /// It stopped answering and is killed.
    Silent,
    /// It does not drain in time and is killed.
    Stubborn,
    /// A client of the control socket sent a signal.
    Signalled(Signal),
    /// It has left, as asked.
    Left(ExitStatus),
    /// Its service gets a new version.
    RollsOut,
    /// All replicas of its service have been replaced, in so long.
    RolledOut(Duration),
    /// The new version did not get ready, and why.
    RolledBack(String),
}

impl Event {
    /// Whether it deserves people's attention.
    pub fn is_bad(&self) -> bool {
        use EventKind as Kind;
        !matches!(
            self.kind,
            Kind::Ready(..)
                | Kind::Signalled(_)
                | Kind::Left(_)
                | Kind::RollsOut
                | Kind::RolledOut(_)
        )
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(pid, after) => {
                write!(f, "ready after {} ms (pid {pid})", after.as_millis())
            }
            Self::NotStarted(error, pause) => {
                write!(f, "could not be started: {error}; {}", Again(*pause))
            }
            Self::Died(status, reason, pause) => {
                match status.success() {
                    true => write!(f, "left by itself")?,
                    false => write!(f, "died: {}", Exit(*status))?,
                }
                if let Some(reason) = reason {
                    write!(f, ": {reason}")?;
                }
                write!(f, "; {}", Again(*pause))
            }
            Self::Silent => write!(f, "does not answer any more: killed"),
            Self::Stubborn => write!(f, "has not drained in {} s: killed", DRAIN_LIMIT.as_secs()),
            Self::Signalled(signal) => {
                write!(
                    f,
                    "gets SIG{}, as asked",
                    format!("{signal:?}").to_uppercase()
                )
            }
            Self::Left(status) if status.success() => write!(f, "drained and left"),
            Self::Left(status) => write!(f, "left: {}", Exit(*status)),
            Self::RollsOut => write!(f, "gets a new version, one replica after the other"),
            Self::RolledOut(took) => write!(f, "has its new version after {} ms", took.as_millis()),
            Self::RolledBack(reason) => write!(f, "keeps its old version: {reason}"),
        }
    }
}

struct Again(Duration);

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::ZERO => write!(f, "starts again"),
            pause => write!(f, "starts again in {} ms", pause.as_millis()),
        }
    }
}

struct Exit(ExitStatus);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (_, Some(9)) => write!(f, "SIGKILL"),
            (_, Some(15)) => write!(f, "SIGTERM"),
            (_, Some(6)) => write!(f, "SIGABRT"),
            (_, Some(11)) => write!(f, "SIGSEGV"),
            (_, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => write!(f, "{}", self.0),
        }
    }
}
