//! Which replica takes a call.
use crate::endpoint::{Endpoint, Lease};
use rand::RngExt as _;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// What earlier tries of a call say about where the next may go.
#[derive(Default)]
pub(crate) struct Tried {
    /// Retries charged to the budget.
    pub(crate) retries: u32,
    /// Only when there is no other.
    avoid: Vec<Arc<Endpoint>>,
    never: Vec<Arc<Endpoint>>,
    started_over: bool,
}

/// A replica that refused may be back after this.
const WORTH_ANOTHER_LOOK: Duration = Duration::from_millis(10);

impl Tried {
    /// An endpoint has been tried; `again`: it may be tried once more when there is no other.
    pub(crate) fn add(&mut self, endpoint: Arc<Endpoint>, again: bool) {
        match again {
            true => self.avoid.push(endpoint),
            false => self.never.push(endpoint),
        }
    }

    /// Time has passed since the earlier tries: who refused then may be back.
    pub(crate) fn reconsider(&mut self) {
        self.never.clear();
    }

    /// When all have refused in turn but that took long, they are asked once more.
    pub(crate) fn start_over(&mut self, took: Duration) -> bool {
        let worth = !self.started_over && !self.never.is_empty() && took >= WORTH_ANOTHER_LOOK;
        if worth {
            self.started_over = true;
            self.reconsider();
        }
        worth
    }

    fn allows(&self, endpoint: &Arc<Endpoint>, now: Instant) -> bool {
        // A retry must not add to the load of a replica that sheds load.
        let hammers = self.retries > 0 && endpoint.is_shedding(now);
        !hammers && !contains(&self.never, endpoint)
    }
}

fn contains(list: &[Arc<Endpoint>], endpoint: &Arc<Endpoint>) -> bool {
    list.iter().any(|e| Arc::ptr_eq(e, endpoint))
}

/// Takes an available endpoint, or knocks at one that refused its last connection: a refusal costs
/// microseconds, and it may be back before its breaker looks again. Those this call has tried
/// already come last.
pub(crate) fn pick(endpoints: &[Arc<Endpoint>], tried: &Tried, now: Instant) -> Option<Lease> {
    let allowed = endpoints.iter().filter(|e| tried.allows(e, now));
    let (again, other): (Vec<_>, Vec<_>) = allowed.partition(|e| contains(&tried.avoid, e));
    let choose = |from: Vec<&Arc<Endpoint>>| {
        let available = from.iter().copied().filter(|e| e.is_available(now));
        let lease = two_choices(available.collect(), |e| e.lease(now));
        lease.or_else(|| two_choices(from, |e| e.knock(now)))
    };
    choose(other).or_else(|| choose(again))
}

/// Would [`pick`] find one now?
pub(crate) fn has_choice(endpoints: &[Arc<Endpoint>], tried: &Tried, now: Instant) -> bool {
    endpoints
        .iter()
        .any(|e| tried.allows(e, now) && e.may_knock(now))
}

/// Takes the less busy of two chosen at random, until one can be had (Mitzenmacher, "The power of
/// two choices in randomized load balancing").
fn two_choices(
    mut candidates: Vec<&Arc<Endpoint>>,
    take: impl Fn(&Arc<Endpoint>) -> Option<Lease>,
) -> Option<Lease> {
    let mut rng = rand::rng();
    while !candidates.is_empty() {
        let len = candidates.len();
        let first = rng.random_range(0..len);
        let second = match len {
            1 => first,
            _ => (first + rng.random_range(1..len)) % len,
        };
        let less_busy = match candidates[second].in_flight() < candidates[first].in_flight() {
            true => second,
            false => first,
        };
        let lease = take(candidates.swap_remove(less_busy));
        if lease.is_some() {
            return lease;
        }
    }
    None
}
