//! What calls look like from outside: outcomes, times, retries, breaker states.
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric as _, LabelValueEncoder,
    },
    metrics::{
        MetricType, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram,
    },
    registry::Registry,
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Seconds. Calls inside take about a millisecond; 0.25 and 2 are the edges that alerts ask for.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0,
];

/// How a call ended, all its retries included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// 1xx to 3xx
    Ok,
    /// 4xx
    ClientError,
    /// 5xx
    ServerError,
    Timeout,
    Broken,
    Unavailable,
    /// Too large, or not sendable.
    Invalid,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Ok,
        Self::ClientError,
        Self::ServerError,
        Self::Timeout,
        Self::Broken,
        Self::Unavailable,
        Self::Invalid,
    ];
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::Ok => "ok",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Unavailable => "unavailable",
            Self::Invalid => "invalid",
        };
        name.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabel {
    upstream: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    upstream: &'static str,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    upstream: &'static str,
    endpoint: String,
}

/// The metrics of all upstreams of one process.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<OutcomeLabels, Counter>,
    durations: Family<UpstreamLabel, Histogram, fn() -> Histogram>,
    retries: Family<UpstreamLabel, Counter>,
    exhausted: Family<UpstreamLabel, Counter>,
    breakers: Breakers,
}

impl Metrics {
    /// Registers the `client_*` and `circuit_breaker_state` metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            retries: Family::default(),
            exhausted: Family::default(),
            breakers: Breakers::default(),
        };
        registry.register(
            "client_requests",
            "Calls to other services",
            metrics.requests.clone(),
        );
        registry.register(
            "client_request_duration_seconds",
            "Time of a call with all its retries",
            metrics.durations.clone(),
        );
        registry.register(
            "client_retries",
            "Tries after the first",
            metrics.retries.clone(),
        );
        registry.register(
            "client_retry_budget_exhausted",
            "Retries not made because the budget was spent",
            metrics.exhausted.clone(),
        );
        registry.register_collector(Box::new(metrics.breakers.clone()));
        metrics
    }

    /// Creates the series of one upstream, so that they exist at 0 before the first call.
    pub(crate) fn of(&self, upstream: &'static str) -> UpstreamMetrics {
        let label = UpstreamLabel { upstream };
        let outcome = |outcome| {
            let labels = OutcomeLabels { upstream, outcome };
            self.requests.get_or_create_owned(&labels)
        };
        UpstreamMetrics {
            requests: Outcome::ALL.map(outcome),
            duration: self.durations.get_or_create_owned(&label),
            retries: self.retries.get_or_create_owned(&label),
            exhausted: self.exhausted.get_or_create_owned(&label),
        }
    }

    /// Shows the breakers of `source` as long as it lives.
    pub(crate) fn watch(&self, source: Weak<dyn BreakerStates>) {
        let mut sources = self
            .breakers
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sources.retain(|old| old.strong_count() > 0);
        sources.push(source);
    }
}

/// The series of one upstream, looked up once.
pub(crate) struct UpstreamMetrics {
    requests: [Counter; Outcome::ALL.len()],
    pub(crate) duration: Histogram,
    pub(crate) retries: Counter,
    pub(crate) exhausted: Counter,
}

impl UpstreamMetrics {
    pub(crate) fn request(&self, outcome: Outcome) -> &Counter {
        &self.requests[outcome as usize]
    }
}

/// Who can say what state its breakers are in now.
pub(crate) trait BreakerStates: Send + Sync {
    fn upstream(&self) -> &'static str;
    /// Each endpoint with 0 (closed), 1 (half-open) or 2 (open).
    fn states(&self) -> Vec<(String, i64)>;
}

/// Asks for the states when scraped: an open breaker becomes half-open by the passing of time,
/// and endpoints come and go, so a stored gauge would lie.
#[derive(Clone, Default)]
struct Breakers(Arc<Mutex<Vec<Weak<dyn BreakerStates>>>>);

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Breakers")
    }
}

impl Collector for Breakers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut family = encoder.encode_descriptor(
            "circuit_breaker_state",
            "0 closed, 1 half-open, 2 open",
            None,
            MetricType::Gauge,
        )?;
        for source in sources.iter().filter_map(Weak::upgrade) {
            for (endpoint, state) in source.states() {
                let upstream = source.upstream();
                let labels = EndpointLabels { upstream, endpoint };
                ConstGauge::new(state).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
