//! What the inventory service counts.
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Request {
    pub operation: &'static str,
    pub outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Product {
    pub product_id: String,
}

#[derive(Clone, Default)]
pub struct Metrics {
    pub requests: Family<Request, Counter>,
    pub stock: Family<Product, Gauge>,
    pub holds: Gauge,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register(
            "inventory_requests",
            "Stock operations by outcome",
            m.requests.clone(),
        );
        registry.register("inventory_stock", "Pieces available", m.stock.clone());
        registry.register(
            "inventory_holds",
            "Reservations whose order isn't known yet",
            m.holds.clone(),
        );
        m
    }

    pub fn count(&self, operation: &'static str, outcome: &'static str, n: u64) {
        self.requests
            .get_or_create(&Request { operation, outcome })
            .inc_by(n);
    }
}
