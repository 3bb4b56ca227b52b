//! What commander counts.
use crate::drill::report::Verdict;
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
    loads: Gauge,
    drills: Family<DrillLabels, Counter>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DrillLabels {
    drill: String,
    verdict: &'static str,
}

/// A load that runs, until it is dropped.
pub struct Active(Gauge);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register("chaos_kills", "Replicas killed on purpose", m.kills.clone());
        registry.register(
            "chaos_load_active",
            "Loads that run on purpose",
            m.loads.clone(),
        );
        registry.register("drill_runs", "Drills by their verdict", m.drills.clone());
        m
    }

    /// A load begins.
    pub fn load_begins(&self) -> Active {
        self.loads.inc();
        Active(self.loads.clone())
    }

    /// A drill there is; its runs are counted from 0.
    pub fn know_drill(&self, drill: &str) {
        for verdict in Verdict::ALL {
            self.count(drill, verdict, 0);
        }
    }

    /// One of the drills there are has been run.
    pub fn drilled(&self, drill: &str, verdict: Verdict) {
        self.count(drill, verdict, 1);
    }

    fn count(&self, drill: &str, verdict: Verdict, n: u64) {
        let labels = DrillLabels {
            drill: drill.to_owned(),
            verdict: verdict.name(),
        };
        self.drills.get_or_create(&labels).inc_by(n);
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
