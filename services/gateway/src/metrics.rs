//! What the gateway counts beside its requests.
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Default)]
pub struct Metrics {
    pub shed: Counter,
}

impl Metrics {
    /// `limit`: requests passed on at once.
    pub fn register(registry: &mut Registry, limit: u32) -> Self {
        let m = Self::default();
        let most = Gauge::<i64>::default();
        most.set(limit.into());
        registry.register(
            "http_requests_in_flight_limit",
            "Requests passed on at once before more are refused",
            most,
        );
        registry.register(
            "http_requests_shed",
            "Requests refused to protect the others",
            m.shed.clone(),
        );
        m
    }
}
