//! Traces leave the process by OTLP over HTTP, in batches, on a thread of their own.
use crate::{
    VERSION,
    collector::Collector,
    sampler::{self, Choice, Sampler},
};
use http::Uri;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, SpanData, SpanExporter, SpanProcessor as _},
};
use std::{
    fmt::Debug,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// Process-wide like the subscriber of the logs; unset, no span is made.
static EXPORT: OnceLock<BatchSpanProcessor> = OnceLock::new();

/// What is left at the end has this long to get out.
const FLUSH: Duration = Duration::from_secs(2);

/// Where traces go, and which. The variables are OpenTelemetry's.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// Collector of traces (OTLP over HTTP), such as `http://127.0.0.1:4318`. When left out, none are made.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = endpoint)]
    pub otel_exporter_otlp_endpoint: Option<Endpoint>,
    /// Which traces are kept: `always_on`, `always_off`, `traceidratio`, or one of them with `parentbased_`
    /// before it, for those that nobody else has decided on.
    #[arg(long, env = "OTEL_TRACES_SAMPLER", default_value = "parentbased_always_on", value_parser = sampler::choice)]
    pub otel_traces_sampler: Choice,
    /// Share of the traces that `traceidratio` keeps, 0 to 1.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value = "1", value_parser = sampler::ratio)]
    pub otel_traces_sampler_arg: f64,
    /// Name of this replica: set by `seawall up`.
    #[arg(long, env = "SEAWALL_REPLICA", hide = true)]
    pub replica: Option<String>,
    /// Name of this replica: set for containers.
    #[arg(long, env = "HOSTNAME", hide = true)]
    pub hostname: Option<String>,
}

/// Where the collector takes traces; none where the variable is empty.
#[derive(Clone, Debug)]
pub struct Endpoint(Option<Uri>);

fn endpoint(text: &str) -> Result<Endpoint, String> {
    if text.is_empty() {
        return Ok(Endpoint(None));
    }
    let text = format!("{}/v1/traces", text.trim_end_matches('/'));
    let uri: Uri = text.parse().map_err(|_| "expected a URL".to_owned())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => Ok(Endpoint(Some(uri))),
        (Some("https"), _) => Err("expected http://; a collector beside this can add TLS".into()),
        _ => Err("expected http://HOST:PORT".into()),
    }
}

/// Starts to export, if there is a collector.
pub(crate) fn start(
    service: &'static str,
    environment: &'static str,
    settings: &Settings,
) -> anyhow::Result<()> {
    let endpoint = settings.otel_exporter_otlp_endpoint.as_ref();
    let Some(uri) = endpoint.and_then(|endpoint| endpoint.0.as_ref()) else {
        return Ok(());
    };
    let instance = settings.replica.as_ref().or(settings.hostname.as_ref());
    let instance = instance
        .cloned()
        .unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.instance.id", instance),
            KeyValue::new("service.version", VERSION),
            KeyValue::new("deployment.environment", environment),
        ])
        .build();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(uri.to_string())
        .with_http_client(Collector::new()?)
        .build()?;
    let mut exporter = Told::new(exporter, uri.to_string());
    exporter.set_resource(&resource);
    let processor = BatchSpanProcessor::builder(exporter).build();
    if EXPORT.set(processor).is_ok() {
        let ratio = settings.otel_traces_sampler_arg;
        Sampler::new(settings.otel_traces_sampler, ratio).install();
        tracing::info!(collector = %uri, "traces are exported");
    }
    Ok(())
}

/// Are spans wanted at all?
pub(crate) fn wanted() -> bool {
    EXPORT.get().is_some()
}

/// Never waits: a span that finds the queue full is lost.
pub(crate) fn export(span: SpanData) {
    if let Some(processor) = EXPORT.get() {
        processor.on_end(span);
    }
}

/// Sends what is left, at the very end of the process, within two seconds.
pub fn flush() {
    if let Some(processor) = EXPORT.get()
        && let Err(error) = processor.shutdown_with_timeout(FLUSH)
    {
        tracing::debug!(%error, "the last traces are lost");
    }
}

/// An exporter that says once that it can't reach the collector, and once that it can again.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    collector: String,
    failing: AtomicBool,
}

impl<E> Told<E> {
    fn new(exporter: E, collector: String) -> Self {
        Self {
            exporter,
            collector,
            failing: AtomicBool::new(false),
        }
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.exporter.export(batch).await;
        let failed = result.is_err();
        if failed != self.failing.swap(failed, Relaxed) {
            let collector = &self.collector;
            match &result {
                Ok(()) => tracing::info!(collector, "traces are exported again"),
                Err(error) => tracing::warn!(collector, %error, "traces are lost for now"),
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added() {
        for (text, uri) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://tempo:4318/", "http://tempo:4318/v1/traces"),
            ("http://[::1]:1/otlp", "http://[::1]:1/otlp/v1/traces"),
        ] {
            let endpoint = endpoint(text).expect("a collector").0;
            assert_eq!(endpoint.map(|uri| uri.to_string()).as_deref(), Some(uri));
        }
        assert!(endpoint("").expect("nothing").0.is_none());
        for bad in [
            "localhost:4318",
            "https://x",
            "/x",
            "http://",
            "http://a b",
            "grpc://x:4317",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
