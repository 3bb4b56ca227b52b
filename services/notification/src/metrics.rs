//! What the notification service counts.
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    channel: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Default)]
pub struct Metrics {
    notifications: Family<Labels, Counter>,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        for outcome in ["sent", "retried", "dead"] {
            m.count(outcome, 0);
        }
        registry.register(
            "notifications",
            "Tries to deliver a notification by outcome",
            m.notifications.clone(),
        );
        m
    }

    pub fn count(&self, outcome: &'static str, n: u64) {
        self.notifications
            .get_or_create(&Labels {
                channel: "email",
                outcome,
            })
            .inc_by(n);
    }
}
