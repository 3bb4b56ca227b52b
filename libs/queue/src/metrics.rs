//! The queue's metrics: how jobs went, and how many are where.
use crate::{Queue, State, Stats};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{sync::atomic::AtomicU64, time::Duration};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct JobLabels {
    job: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabels {
    queue: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DepthLabels {
    queue: String,
    state: &'static str,
}

type FloatGauge = Gauge<f64, AtomicU64>;

/// Cheap to clone; the clones count together. The `job` label is the job's kind, so whoever pushes
/// sees to it that there are few.
#[derive(Clone)]
pub struct Metrics {
    success: Family<JobLabels, Counter>,
    failure: Family<JobLabels, Counter>,
    duration: Family<JobLabels, Histogram>,
    depth: Family<DepthLabels, Gauge>,
    oldest: Family<QueueLabels, FloatGauge>,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            success: Family::default(),
            failure: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            depth: Family::default(),
            oldest: Family::default(),
        };
        registry.register(
            "worker_jobs_success",
            "Runs of jobs that succeeded",
            metrics.success.clone(),
        );
        registry.register(
            "worker_jobs_failure",
            "Runs of jobs that failed",
            metrics.failure.clone(),
        );
        registry.register(
            "worker_job_duration_seconds",
            "How long runs of jobs took",
            metrics.duration.clone(),
        );
        registry.register(
            "worker_queue_depth",
            "Jobs in the queue by state",
            metrics.depth.clone(),
        );
        registry.register(
            "worker_queue_oldest_seconds",
            "For how long the oldest job that isn't running has been due",
            metrics.oldest.clone(),
        );
        metrics
    }

    pub(crate) fn job(&self, kind: &str, success: bool, took: Duration) {
        let labels = JobLabels {
            job: kind.to_owned(),
        };
        self.duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        let runs = if success {
            &self.success
        } else {
            &self.failure
        };
        runs.get_or_create(&labels).inc();
    }

    /// Shows what [`Queue::stats`] counted.
    pub fn depth(&self, queue: &str, stats: &Stats) {
        for state in State::ALL {
            let labels = DepthLabels {
                queue: queue.to_owned(),
                state: state.as_str(),
            };
            let count = i64::try_from(stats.count(state)).unwrap_or(i64::MAX);
            self.depth.get_or_create(&labels).set(count);
        }
        let labels = QueueLabels {
            queue: queue.to_owned(),
        };
        self.oldest.get_or_create(&labels).set(stats.oldest_seconds);
    }
}

/// Seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0,
];

impl Queue {
    /// Keeps the depth metrics of some queues up to date, every five seconds until the shutdown.
    /// While the backend is away they keep their last values.
    pub async fn observe(&self, queues: &[&str], metrics: &Metrics, shutdown: CancellationToken) {
        loop {
            for queue in queues {
                if let Ok(stats) = self.stats(queue).await {
                    metrics.depth(queue, &stats);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}
