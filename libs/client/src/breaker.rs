//! The circuit breaker of one endpoint: a state machine over time, without IO.
//!
//! Closed, it counts failures. Open, it lets nothing through until a time has passed; then it is
//! half-open and lets a few probes through one by one, whose success closes it (Nygard, "Release It!").
//! What it was that failed decides how long it stays open and whether it may open at all, see
//! [`Fault`].
#[cfg(test)]
mod model;

use crate::{
    Settings,
    ejection::{Ejection, Ejections},
    window::Window,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Longest pause between two tries of an endpoint that isn't there.
const REDIAL_MAX: Duration = Duration::from_secs(1);

/// What a call failed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nobody listens. Certain after one try, and over as soon as the replica is replaced, so it
    /// opens at once and for a short time.
    Refused,
    /// The connection broke under the call: likely the process died, but one is no proof.
    Broken,
    /// No answer in time.
    Silent,
    /// An answer that says failure (5xx). The endpoint is alive, so it is set aside only as long
    /// as enough others remain ([`Ejections`]): one bad route must not close a whole service.
    Answer,
}

impl Fault {
    /// The process is gone rather than in trouble.
    fn is_gone(self) -> bool {
        matches!(self, Self::Refused | Self::Broken)
    }

    /// For logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::Broken => "connection broke",
            Self::Silent => "no answer in time",
            Self::Answer => "answered with an error",
        }
    }
}

/// How a call that was let through ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad(Fault),
    /// Given up by the caller: says nothing about the endpoint.
    Unknown,
}

/// What an admitted call has to bring back to [`Breaker::record`].
#[derive(Debug)]
pub(crate) struct Ticket {
    generation: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

#[derive(Debug)]
pub(crate) struct Breaker {
    rules: Rules,
    phase: Phase,
    /// Changes with every phase; results of calls from an earlier phase no longer count.
    generation: u64,
    in_a_row: u32,
    window: Window,
    /// Openings since it was last closed.
    openings: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    failures: u32,
    percent: u64,
    min_calls: u32,
    open: Duration,
    redial: Duration,
    probes: u32,
}

#[derive(Debug)]
enum Phase {
    Closed,
    Open {
        until: Instant,
        fault: Fault,
        ejection: Option<Ejection>,
    },
    HalfOpen {
        /// Probes under way or passed.
        admitted: u32,
        passed: u32,
        fault: Fault,
        ejection: Option<Ejection>,
    },
}

impl From<&Settings> for Rules {
    fn from(settings: &Settings) -> Self {
        Self {
            failures: settings.breaker_failures,
            percent: settings.breaker_percent.into(),
            min_calls: settings.breaker_min_calls,
            open: settings.breaker_open,
            redial: settings.breaker_redial,
            probes: settings.breaker_probes.max(1),
        }
    }
}

impl Breaker {
    pub(crate) fn new(rules: Rules, now: Instant) -> Self {
        Self {
            rules,
            phase: Phase::Closed,
            generation: 0,
            in_a_row: 0,
            window: Window::new(now),
            openings: 0,
        }
    }

    /// Would [`Breaker::admit`] let a call through?
    pub(crate) fn admits(&self, now: Instant) -> bool {
        match &self.phase {
            Phase::Closed => true,
            Phase::Open { until, .. } => now >= *until,
            // One after the other: each that fails costs a caller its patience.
            Phase::HalfOpen {
                admitted, passed, ..
            } => admitted == passed,
        }
    }

    /// Lets a call through, or not. Every ticket must be brought back.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<Ticket> {
        self.admits(now).then(|| self.ticket())
    }

    /// Would [`Breaker::knock`] let a call through?
    pub(crate) fn may_knock(&self, now: Instant) -> bool {
        let refused = match &self.phase {
            Phase::Closed => false,
            Phase::Open { fault, .. } | Phase::HalfOpen { fault, .. } => *fault == Fault::Refused,
        };
        refused || self.admits(now)
    }

    /// As [`Breaker::admit`], but an endpoint that refused its connection takes calls before its
    /// time and beyond the number of probes: to look costs next to nothing and may find it back.
    /// For callers with nowhere else to go.
    pub(crate) fn knock(&mut self, now: Instant) -> Option<Ticket> {
        self.may_knock(now).then(|| self.ticket())
    }

    fn ticket(&mut self) -> Ticket {
        match &mut self.phase {
            Phase::Closed => {}
            Phase::HalfOpen { admitted, .. } => *admitted += 1,
            Phase::Open {
                fault, ejection, ..
            } => {
                let (fault, ejection) = (*fault, ejection.take());
                self.enter(Phase::HalfOpen {
                    admitted: 1,
                    passed: 0,
                    fault,
                    ejection,
                });
            }
        }
        Ticket {
            generation: self.generation,
        }
    }

    /// Takes back a ticket with what came of the call.
    pub(crate) fn record(
        &mut self,
        ticket: &Ticket,
        verdict: Verdict,
        now: Instant,
        ejections: &Arc<Ejections>,
    ) {
        if ticket.generation != self.generation {
            return;
        }
        match (&mut self.phase, verdict) {
            (Phase::Closed, Verdict::Good) => {
                self.in_a_row = 0;
                self.window.add(now, 1, 0);
            }
            (Phase::Closed, Verdict::Bad(fault)) => self.count_failure(fault, now, ejections),
            (Phase::HalfOpen { passed, .. }, Verdict::Good) => {
                *passed += 1;
                if *passed >= self.rules.probes {
                    self.close(now);
                }
            }
            (Phase::HalfOpen { ejection, .. }, Verdict::Bad(fault)) => {
                let ejection = ejection.take();
                self.open(fault, ejection, now, ejections);
            }
            (Phase::HalfOpen { admitted, .. }, Verdict::Unknown) => *admitted -= 1,
            (Phase::Closed, Verdict::Unknown) | (Phase::Open { .. }, _) => {}
        }
    }

    fn count_failure(&mut self, fault: Fault, now: Instant, ejections: &Arc<Ejections>) {
        self.in_a_row += 1;
        self.window.add(now, 1, 1);
        let counts = self.window.totals(now);
        let often = counts.all >= self.rules.min_calls
            && u64::from(counts.hits) * 100 >= u64::from(counts.all) * self.rules.percent;
        if fault == Fault::Refused || self.in_a_row >= self.rules.failures || often {
            self.open(fault, None, now, ejections);
        }
    }

    /// Opens, unless it is for answers and too many others are set aside for theirs already.
    fn open(
        &mut self,
        fault: Fault,
        held: Option<Ejection>,
        now: Instant,
        ejections: &Arc<Ejections>,
    ) {
        let ejection = match fault {
            Fault::Answer => {
                let Some(ejection) = held.or_else(|| ejections.take()) else {
                    if !matches!(self.phase, Phase::Closed) {
                        self.close(now);
                    }
                    return;
                };
                Some(ejection)
            }
            Fault::Refused | Fault::Broken | Fault::Silent => None,
        };
        let doublings = self.openings.min(16);
        let pause = match fault.is_gone() {
            true => REDIAL_MAX.min(self.rules.redial * 2_u32.pow(doublings)),
            false => self.rules.open,
        };
        self.openings += 1;
        self.enter(Phase::Open {
            until: now + pause,
            fault,
            ejection,
        });
    }

    fn close(&mut self, now: Instant) {
        self.in_a_row = 0;
        self.openings = 0;
        self.window = Window::new(now);
        self.enter(Phase::Closed);
    }

    fn enter(&mut self, phase: Phase) {
        self.generation += 1;
        self.phase = phase;
    }

    pub(crate) fn state(&self, now: Instant) -> State {
        match &self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { until, .. } if now < *until => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// How long until it lets a call through again; zero when it may do so now.
    pub(crate) fn closed_for(&self, now: Instant) -> Duration {
        match &self.phase {
            Phase::Open { until, .. } => until.saturating_duration_since(now),
            Phase::Closed | Phase::HalfOpen { .. } => Duration::ZERO,
        }
    }
}
