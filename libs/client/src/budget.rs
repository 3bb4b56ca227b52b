//! How many retries are allowed, so that retrying never becomes the load that keeps a service down.
//!
//! Numbers as in Finagle and Linkerd: a fifth of the calls of the last ten seconds, and ten a
//! second on top for callers that call rarely.
//!
//! What is counted follows from what the budget is for: more *work* than was asked for must not
//! reach the upstream. So
//!
//! - a try of which nothing was sent (connection refused, pooled connection found closed) is
//!   free: no replica did anything for it, moving it on adds no load;
//! - a connection that broke under a call is counted (a call that kills whoever serves it would
//!   otherwise walk through all replicas), but it may use the whole reserve: a killed replica breaks
//!   everything it had in flight at one moment, and that burst has to be hidden even by a caller
//!   that has just started and earned nothing, or has just spent it on other retries;
//! - a retry after an answer or a timeout (an upstream that is alive and in trouble) is counted and
//!   leaves that part of the reserve alone.
use crate::window::Window;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Calls in flight on one replica that its death may break at once, and that are then retried.
const KEPT_FOR_BROKEN: f64 = 64.0;
/// Seconds of unused reserve that are kept.
const RESERVE_SECONDS: f64 = 10.0;

/// Why a retry is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The connection broke after the call was sent.
    Broken,
    /// The upstream answered 502, 503 or 504, or not in time.
    Trouble,
}

#[derive(Debug)]
pub(crate) struct Budget {
    percent: u64,
    reserve_per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Calls, and retries paid by their share.
    window: Window,
    reserve: f64,
    filled: Instant,
}

impl Budget {
    pub(crate) fn new(percent: u32, reserve_per_second: u32, now: Instant) -> Self {
        let reserve_per_second = f64::from(reserve_per_second);
        let state = State {
            window: Window::new(now),
            reserve: kept(reserve_per_second),
            filled: now,
        };
        Self {
            percent: percent.into(),
            reserve_per_second,
            state: Mutex::new(state),
        }
    }

    /// Counts a call (not a try).
    pub(crate) fn deposit(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.window.add(now, 1, 0);
    }

    /// Takes one retry out of the budget, if it holds one.
    pub(crate) fn withdraw(&self, reason: Reason, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = state.window.totals(now);
        if u64::from(counts.hits + 1) * 100 <= u64::from(counts.all) * self.percent {
            state.window.add(now, 0, 1);
            return true;
        }
        let most = self.reserve_per_second * RESERVE_SECONDS;
        let idle = now.saturating_duration_since(state.filled).as_secs_f64();
        state.reserve = (state.reserve + idle * self.reserve_per_second).min(most);
        state.filled = now;
        let untouchable = match reason {
            Reason::Broken => 0.0,
            Reason::Trouble => kept(self.reserve_per_second),
        };
        let granted = state.reserve - untouchable >= 1.0;
        if granted {
            state.reserve -= 1.0;
        }
        granted
    }
}

fn kept(reserve_per_second: f64) -> f64 {
    KEPT_FOR_BROKEN.min(reserve_per_second * RESERVE_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn granted(budget: &Budget, reason: Reason, wanted: usize, now: Instant) -> usize {
        (0..wanted).filter(|_| budget.withdraw(reason, now)).count()
    }

    #[test]
    fn trouble_is_retried_for_a_fifth_of_the_calls_and_ten_a_second() {
        let start = Instant::now();
        let budget = Budget::new(20, 10, start);
        let mut retries = 0;
        for ms in 0..30_000 {
            let now = start + Duration::from_millis(ms);
            if ms % 2 == 0 {
                budget.deposit(now);
            }
            retries += granted(&budget, Reason::Trouble, 2, now);
            let seconds = ms as f64 / 1000.0;
            let calls = (ms / 2 + 1) as f64;
            let bound = 0.2 * calls + 10.0 * seconds;
            assert!(retries as f64 <= bound + 1e-6, "{retries} after {ms} ms");
        }
        assert!(retries >= 3_200, "only {retries} of 3,300 were used");
    }

    #[test]
    fn a_killed_replica_is_hidden_even_when_the_budget_is_spent() {
        let start = Instant::now();
        let budget = Budget::new(20, 10, start);
        for _ in 0..1_000 {
            budget.deposit(start);
        }
        assert_eq!(granted(&budget, Reason::Trouble, 10_000, start), 200);
        assert_eq!(granted(&budget, Reason::Broken, 64, start), 64);
    }

    #[test]
    fn a_call_that_kills_its_server_does_not_retry_for_ever() {
        let start = Instant::now();
        let budget = Budget::new(20, 10, start);
        assert_eq!(granted(&budget, Reason::Broken, 10_000, start), 64);
    }

    #[test]
    fn nothing_is_retried_when_both_numbers_are_zero() {
        let start = Instant::now();
        let budget = Budget::new(0, 0, start);
        budget.deposit(start);
        let later = start + Duration::from_secs(60);
        assert_eq!(granted(&budget, Reason::Broken, 10, later), 0);
    }
}
