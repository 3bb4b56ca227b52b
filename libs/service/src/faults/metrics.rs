//! Which faults are active, as they are when somebody looks.
use super::{Inner, Kind};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{fmt, sync::Arc};

pub(super) fn register(inner: Arc<Inner>, registry: &mut Registry) {
    registry.register_collector(Box::new(Present(inner)));
}

struct Present(Arc<Inner>);

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    fault: &'static str,
}

impl Collector for Present {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let family = Family::<Labels, Gauge>::default();
        let active = self.0.list();
        for kind in Kind::ALL {
            let fault = kind.as_str();
            let number = active.iter().filter(|f| f.spec.fault == kind).count();
            let gauge = family.get_or_create(&Labels { fault });
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
        let metric = encoder.encode_descriptor(
            "chaos_fault_active",
            "Faults that are active on purpose",
            None,
            family.metric_type(),
        )?;
        family.encode(metric)
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Present")
    }
}
