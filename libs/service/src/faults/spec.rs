//! What a fault is: its kind, its numbers, their bounds.
use crate::Problem;
use serde::{Deserialize, Serialize};
use std::{ops::RangeInclusive, time::Duration};

pub(super) const MOST_THREADS: u32 = 16;
pub(super) const MOST_MEGABYTES: u32 = 512;
const MOST_SECONDS: u32 = 600;
const MOST_MILLISECONDS: u32 = 60_000;

/// How something breaks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Requests wait before they are worked on.
    Latency,
    /// Requests are answered with an error.
    Error,
    /// Requests get no answer before the fault is over.
    Hang,
    /// `/readyz` says no.
    Unready,
    /// Threads that compute nothing.
    Cpu,
    /// Memory that nobody needs.
    Memory,
    /// The process aborts.
    Crash,
    /// The database is stopped, slow, or its connections are cut.
    Database,
    /// The queue is.
    Queue,
    /// New access tokens are signed with a key that is withdrawn.
    ExpiredKey,
}

/// What a fault does to a dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every use fails at once, as if the server were down.
    Stopped,
    /// Every use waits before.
    Slow,
    /// Connections are cut, now and every second.
    Severed,
}

/// A fault as ordered. Which numbers there may be depends on `fault`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub fault: Kind,
    /// After which it is over, 1 to 600.
    pub seconds: u32,
    /// Of `latency`; of `database` and `queue` when they are `slow` (1000 when left out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
    /// Of `latency`: up to so much more, at random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<u32>,
    /// Of `error`: 400 to 599 (503 when left out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
    /// Of `latency`, `error`, `hang`: only requests with this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Of these: only requests of this route, as metrics name it (`/orders/{id}`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Of these: so many of a hundred requests, at random (100 when left out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u32>,
    /// Of `cpu`: 1 to 16 (1 when left out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Of `memory`: 1 to 512 (64 when left out).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub megabytes: Option<u32>,
    /// Of `database` and `queue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
}

impl Kind {
    pub(super) const ALL: [Self; 10] = [
        Self::Latency,
        Self::Error,
        Self::Hang,
        Self::Unready,
        Self::Cpu,
        Self::Memory,
        Self::Crash,
        Self::Database,
        Self::Queue,
        Self::ExpiredKey,
    ];

    /// As in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Error => "error",
            Self::Hang => "hang",
            Self::Unready => "unready",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Crash => "crash",
            Self::Database => "database",
            Self::Queue => "queue",
            Self::ExpiredKey => "expired_key",
        }
    }

    pub(super) fn is_on_requests(self) -> bool {
        matches!(self, Self::Latency | Self::Error | Self::Hang)
    }

    /// Is it only there in processes that offer it?
    pub(super) fn is_offered(self) -> bool {
        self.is_on_dependency() || self == Self::ExpiredKey
    }

    fn is_on_dependency(self) -> bool {
        matches!(self, Self::Database | Self::Queue)
    }
}

impl Spec {
    /// A fault without any numbers but its time.
    #[must_use]
    pub fn new(fault: Kind, seconds: u32) -> Self {
        Self {
            fault,
            seconds,
            latency_ms: None,
            jitter_ms: None,
            status: None,
            method: None,
            route: None,
            percent: None,
            threads: None,
            megabytes: None,
            mode: None,
        }
    }

    /// The same with what was left out, if it is valid.
    ///
    /// # Errors
    /// 422 that names the field.
    pub fn checked(mut self) -> Result<Self, Problem> {
        use Kind::{Cpu, Error, Latency, Memory};
        self.no_others()?;
        within("/seconds", self.seconds, 1..=MOST_SECONDS)?;
        let kind = self.fault;
        if kind == Latency {
            let latency = self.latency_ms.ok_or_else(|| missing("/latency_ms"))?;
            within("/latency_ms", latency, 1..=MOST_MILLISECONDS)?;
            number(&mut self.jitter_ms, "/jitter_ms", 0, 0..=MOST_MILLISECONDS)?;
        }
        if kind == Error {
            number(&mut self.status, "/status", 503, 400..=599)?;
        }
        if kind.is_on_requests() {
            number(&mut self.percent, "/percent", 100, 1..=100)?;
            self.target()?;
        }
        if kind == Cpu {
            number(&mut self.threads, "/threads", 1, 1..=MOST_THREADS)?;
        }
        if kind == Memory {
            number(&mut self.megabytes, "/megabytes", 64, 1..=MOST_MEGABYTES)?;
        }
        if kind.is_on_dependency() {
            let mode = self.mode.ok_or_else(|| missing("/mode"))?;
            number(
                &mut self.latency_ms,
                "/latency_ms",
                1000,
                1..=MOST_MILLISECONDS,
            )?;
            // It means nothing to the others.
            self.latency_ms = self.latency_ms.filter(|_| mode == Mode::Slow);
        }
        Ok(self)
    }

    /// A number of another kind of fault would mean nothing here.
    fn no_others(&self) -> Result<(), Problem> {
        use Kind::{Cpu, Error, Latency, Memory};
        let (kind, dependency) = (self.fault, self.fault.is_on_dependency());
        let requests = kind.is_on_requests();
        let given = [
            (
                "/latency_ms",
                self.latency_ms.is_some(),
                kind == Latency || dependency,
            ),
            ("/jitter_ms", self.jitter_ms.is_some(), kind == Latency),
            ("/status", self.status.is_some(), kind == Error),
            ("/method", self.method.is_some(), requests),
            ("/route", self.route.is_some(), requests),
            ("/percent", self.percent.is_some(), requests),
            ("/threads", self.threads.is_some(), kind == Cpu),
            ("/megabytes", self.megabytes.is_some(), kind == Memory),
            ("/mode", self.mode.is_some(), dependency),
        ];
        match given.iter().find(|(_, given, allowed)| *given && !allowed) {
            Some((pointer, ..)) => {
                let detail = format!("means nothing to the fault {}", kind.as_str());
                Err(Problem::invalid(*pointer, detail))
            }
            None => Ok(()),
        }
    }

    fn target(&self) -> Result<(), Problem> {
        let method = self.method.as_deref().unwrap_or("GET");
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Problem::invalid(
                "/method",
                "must be in capitals, such as GET",
            ));
        }
        let route = self.route.as_deref().unwrap_or("/");
        if !route.starts_with('/') || route.len() > 200 {
            return Err(Problem::invalid(
                "/route",
                "must be a route, such as /orders/{id}",
            ));
        }
        Ok(())
    }

    pub(super) fn gate_mode(&self) -> gate::Mode {
        match self.mode {
            Some(Mode::Slow) => {
                let latency = self.latency_ms.unwrap_or_default();
                gate::Mode::Slow(Duration::from_millis(latency.into()))
            }
            Some(Mode::Severed) => gate::Mode::Severed,
            Some(Mode::Stopped) | None => gate::Mode::Stopped,
        }
    }
}

/// Fills in a number that was left out, and refuses one out of bounds.
fn number(
    field: &mut Option<u32>,
    pointer: &str,
    default: u32,
    bounds: RangeInclusive<u32>,
) -> Result<(), Problem> {
    within(pointer, *field.get_or_insert(default), bounds)
}

fn within(pointer: &str, value: u32, bounds: RangeInclusive<u32>) -> Result<(), Problem> {
    let (least, most) = (bounds.start(), bounds.end());
    let detail = || format!("must be {least} to {most}");
    match bounds.contains(&value) {
        true => Ok(()),
        false => Err(Problem::invalid(pointer, detail())),
    }
}

fn missing(pointer: &str) -> Problem {
    Problem::invalid(pointer, "is missing")
}
