//! What the auth service counts.
use crate::error::{Error, Result};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Attempt {
    action: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Default)]
pub struct Metrics {
    attempts: Family<Attempt, Counter>,
    /// A refresh token came a second time: somebody else has it, too.
    pub reuse_detected: Counter,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        for action in ["register", "login", "refresh", "password", "token"] {
            m.attempt(action, "ok").inc_by(0);
        }
        registry.register(
            "auth_attempts",
            "Attempts to register, log in and the like, by outcome",
            m.attempts.clone(),
        );
        registry.register(
            "auth_refresh_reuse_detected",
            "Used refresh tokens that came again; each ended a session",
            m.reuse_detected.clone(),
        );
        m
    }

    /// Counts what became of an attempt.
    pub fn count<T>(&self, action: &'static str, result: &Result<T>) {
        let outcome = result.as_ref().map_or_else(Error::label, |_| "ok");
        self.attempt(action, outcome).inc();
    }

    fn attempt(&self, action: &'static str, outcome: &'static str) -> Counter {
        let labels = Attempt { action, outcome };
        self.attempts.get_or_create_owned(&labels)
    }
}
