//! The RED metrics of an HTTP server.
use axum::http::{Method, StatusCode};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, exemplar::HistogramWithExemplars, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::time::Duration;
use telemetry::Context;

/// Seconds. 0.25 and 2 are the edges that SLOs and alerts ask for.
const BUCKETS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 7.5, 10.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Trace {
    trace_id: String,
}

type Durations =
    Family<Route, HistogramWithExemplars<Trace>, fn() -> HistogramWithExemplars<Trace>>;

#[derive(Clone)]
pub(crate) struct Metrics {
    requests: Family<Request, Counter>,
    durations: Durations,
    pub(crate) in_flight: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| {
                HistogramWithExemplars::new(BUCKETS.into_iter())
            }),
            in_flight: Gauge::default(),
        };
        registry.register(
            "http_requests",
            "Requests answered",
            metrics.requests.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "Time to answer a request",
            metrics.durations.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests being worked on",
            metrics.in_flight.clone(),
        );
        metrics
    }

    /// `route` is the template, so that the number of series stays bounded.
    pub(crate) fn observe(
        &self,
        method: &Method,
        route: &str,
        status: StatusCode,
        took: Duration,
        context: &Context,
    ) {
        let method = bounded(method);
        let route = route.to_owned();
        let request = Request {
            method,
            route: route.clone(),
            status: status.as_u16(),
        };
        self.requests.get_or_create(&request).inc();
        let trace = context.sampled().then(|| Trace {
            trace_id: context.trace_id(),
        });
        self.durations
            .get_or_create(&Route { method, route })
            .observe(took.as_secs_f64(), trace, None);
    }
}

/// Methods are the client's to choose; unknown ones share a label, as in the OpenTelemetry conventions.
pub(crate) fn bounded(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
