//! The span of a request.
use crate::metrics::bounded;
use axum::http::{Method, StatusCode};
use telemetry::{Context, Kind, Span};

/// Of this request; probes leave no trace.
pub(crate) fn span(context: &Context, method: &Method, route: &str) -> Span {
    if is_probe(route) {
        return Span::default();
    }
    let method = bounded(method);
    let mut span = Span::of(context, Kind::Server, || format!("{method} {route}"));
    if span.is_recorded() {
        span.set("http.request.method", method);
        span.set("http.route", route.to_owned());
        span.set("request_id", context.request_id().to_owned());
    }
    span
}

pub(crate) fn conclude(span: &mut Span, status: StatusCode) {
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.to_string());
    }
}

/// Asked so often that nobody wants to read of it.
pub(crate) fn is_probe(route: &str) -> bool {
    matches!(route, "/health" | "/ready")
}
