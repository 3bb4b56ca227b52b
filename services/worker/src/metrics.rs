//! What the worker counts beside what the queue counts.
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{
    sync::atomic::AtomicU64,
    time::{SystemTime, UNIX_EPOCH},
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Job {
    job: &'static str,
}

#[derive(Clone, Default)]
pub struct Metrics {
    last_success: Family<Job, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register(
            "worker_cron_last_success_timestamp_seconds",
            "When a scheduled job last succeeded in this replica, Unix time; 0 before the first time",
            m.last_success.clone(),
        );
        m
    }

    /// A tick came: from now on a success is expected, and its absence can be seen.
    pub fn expected(&self, job: &'static str) {
        drop(self.last_success.get_or_create(&Job { job }));
    }

    pub fn succeeded(&self, job: &'static str) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.last_success
            .get_or_create(&Job { job })
            .set(now.as_secs_f64());
    }
}
