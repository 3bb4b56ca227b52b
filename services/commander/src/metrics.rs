//! What commander counts.
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    service: String,
}

#[derive(Clone, Default)]
pub struct Metrics {
    kills: Family<Labels, Counter>,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register("chaos_kills", "Replicas killed on purpose", m.kills.clone());
        registry.register(
            "chaos_load_active",
            "Loads that run on purpose",
            Gauge::<i64>::default(),
        );
        m
    }

    /// A service there is; its kills are counted from 0.
    pub fn know(&self, service: &str) {
        self.killed(service, 0);
    }

    pub fn killed(&self, service: &str, n: u64) {
        let service = service.to_owned();
        self.kills.get_or_create(&Labels { service }).inc_by(n);
    }
}
