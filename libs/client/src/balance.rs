//! Which replica takes a call.
use crate::endpoint::{Endpoint, Lease};
use rand::RngExt as _;
use std::sync::Arc;
use tokio::time::Instant;

/// What earlier tries of a call say about where the next may go.
#[derive(Default)]
pub(crate) struct Tried {
    /// Retries charged to the budget.
    pub(crate) retries: u32,
    /// Only when there is no other.
    avoid: Vec<Arc<Endpoint>>,
    never: Vec<Arc<Endpoint>>,
}

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
        self.avoid.append(&mut self.never);
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

/// Takes the less busy of two available endpoints chosen at random (Mitzenmacher, "The power of two
/// choices in randomized load balancing"), preferring those this call has not tried yet.
///
/// When none is available, it knocks at those that were gone: a refused connection costs
/// microseconds, and one of them may be back before its breaker looks again.
pub(crate) fn pick(endpoints: &[Arc<Endpoint>], tried: &Tried, now: Instant) -> Option<Lease> {
    let allowed = || endpoints.iter().filter(|e| tried.allows(e, now));
    let mut open: Vec<_> = allowed().filter(|e| e.is_available(now)).collect();
    if open.iter().any(|e| !contains(&tried.avoid, e)) {
        open.retain(|e| !contains(&tried.avoid, e));
    }
    while let Some(endpoint) = take_less_busy(&mut open) {
        if let Some(lease) = endpoint.lease(now) {
            return Some(lease);
        }
    }
    let mut last: Vec<_> = allowed().filter(|e| e.may_knock(now)).collect();
    while let Some(endpoint) = take_less_busy(&mut last) {
        if let Some(lease) = endpoint.knock(now) {
            return Some(lease);
        }
    }
    None
}

/// Would [`pick`] find one now?
pub(crate) fn has_choice(endpoints: &[Arc<Endpoint>], tried: &Tried, now: Instant) -> bool {
    endpoints
        .iter()
        .any(|e| tried.allows(e, now) && e.may_knock(now))
}

fn take_less_busy<'a>(candidates: &mut Vec<&'a Arc<Endpoint>>) -> Option<&'a Arc<Endpoint>> {
    let mut rng = rand::rng();
    let index = match candidates.len() {
        0 => return None,
        1 => 0,
        len => {
            let first = rng.random_range(0..len);
            let second = (first + rng.random_range(1..len)) % len;
            match candidates[second].in_flight() < candidates[first].in_flight() {
                true => second,
                false => first,
            }
        }
    };
    Some(candidates.swap_remove(index))
}
