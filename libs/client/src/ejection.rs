//! How many replicas of one service may be set aside at once.
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How many endpoints of one upstream are set aside because of their answers, and how many may be.
#[derive(Debug, Default)]
pub(crate) struct Ejections {
    taken: AtomicUsize,
    limit: AtomicUsize,
}

/// One endpoint set aside; ends when dropped.
#[derive(Debug)]
pub(crate) struct Ejection(Arc<Ejections>);

impl Ejections {
    /// At most `percent` of `endpoints`, but at least one: a service with a single replica has a
    /// breaker too.
    pub(crate) fn set_limit(&self, endpoints: usize, percent: usize) {
        self.limit
            .store((endpoints * percent / 100).max(1), Relaxed);
    }

    /// Sets one more aside, if the limit allows.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Ejection> {
        let limit = self.limit.load(Relaxed);
        let more = |taken| (taken < limit).then_some(taken + 1);
        let taken = self.taken.fetch_update(Relaxed, Relaxed, more);
        taken.is_ok().then(|| Ejection(self.clone()))
    }

    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }
}

impl Drop for Ejection {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}
