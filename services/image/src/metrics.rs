//! What the image service counts.
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Upload {
    pub outcome: &'static str,
}

#[derive(Clone)]
pub struct Metrics {
    uploads: Family<Upload, Counter>,
    pub processing: Histogram,
}

impl Metrics {
    pub fn register(registry: &mut Registry) -> Self {
        let buckets = [
            0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ];
        let m = Self {
            uploads: Family::default(),
            processing: Histogram::new(buckets),
        };
        registry.register("image_uploads", "Uploads by outcome", m.uploads.clone());
        registry.register(
            "image_processing_seconds",
            "Time to decode, scale and encode a picture",
            m.processing.clone(),
        );
        m
    }

    pub fn uploaded(&self, outcome: &'static str) {
        self.uploads.get_or_create(&Upload { outcome }).inc();
    }
}
