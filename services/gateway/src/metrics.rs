//! What the gateway counts beside its requests.
use prometheus_client::{metrics::counter::Counter, registry::Registry};

#[derive(Clone, Default)]
pub struct Metrics {
    pub shed: Counter,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register(
            "http_requests_shed",
            "Requests refused to protect the others",
            m.shed.clone(),
        );
        m
    }
}
