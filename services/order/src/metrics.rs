//! What the order service counts.
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Request {
    pub status: &'static str,
    /// Only of products that exist, else `unknown`: callers can't make up series.
    pub product_id: String,
}

#[derive(Clone)]
pub struct Metrics {
    pub requests: Family<Request, Counter>,
    pub duration: Histogram,
    pub outbox_unsent: Gauge,
    pub outbox_oldest: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let edges = [
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0,
        ];
        let m = Self {
            requests: Family::default(),
            duration: Histogram::new(edges),
            outbox_unsent: Gauge::default(),
            outbox_oldest: Gauge::default(),
        };
        registry.register(
            "order_requests",
            "Orders asked for, by what became of them",
            m.requests.clone(),
        );
        registry.register(
            "order_request_duration_seconds",
            "Time to place an order",
            m.duration.clone(),
        );
        registry.register(
            "order_outbox_unsent",
            "Events that a consumer has not acknowledged yet",
            m.outbox_unsent.clone(),
        );
        registry.register(
            "order_outbox_oldest_seconds",
            "Age of the oldest of them",
            m.outbox_oldest.clone(),
        );
        m
    }

    pub fn placed(&self, status: &'static str, product_id: &str) {
        let product_id = product_id.to_owned();
        self.requests
            .get_or_create(&Request { status, product_id })
            .inc();
    }
}
