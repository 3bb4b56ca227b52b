//! What happens around every handler: context, limits, panics, problem bodies, metrics, one log line.
use crate::{Config, Faults, IdentityKey, Problem, http1, metrics::Metrics, trace};
use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{CONNECTION, CONTENT_TYPE},
    },
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use chrono::Utc;
use futures::FutureExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use prometheus_client::registry::Registry;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use telemetry::Context;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// Header with the milliseconds the caller still waits.
const DEADLINE: &str = "x-request-deadline-ms";
const REQUEST_ID: &str = "x-request-id";

/// A route that takes larger bodies than others, and so only a few at a time: they are in memory.
#[derive(Clone)]
pub struct Uploads {
    route: &'static str,
    max_body: usize,
    slots: Arc<Semaphore>,
}

impl Uploads {
    /// Bodies of up to `max_body` bytes for `route`, as the router has it, `at_once` of them.
    #[must_use]
    pub fn new(route: &'static str, max_body: usize, at_once: u32) -> Self {
        Self {
            route,
            max_body,
            slots: Arc::new(Semaphore::new(at_once as usize)),
        }
    }
}

#[derive(Clone)]
struct Layer {
    metrics: Metrics,
    max_body: usize,
    uploads: Option<Uploads>,
    body_timeout: Duration,
    /// None where a missing secret has stopped the start already.
    identity: Option<IdentityKey>,
}

/// Wraps a service's routes; registers the HTTP metrics.
pub fn layers(router: Router, config: &Config, registry: &mut Registry) -> Router {
    layers_with(router, config, None, registry)
}

/// [`layers`] for a service that takes uploads.
pub fn layers_with(
    router: Router,
    config: &Config,
    uploads: Option<Uploads>,
    registry: &mut Registry,
) -> Router {
    let layer = Layer {
        metrics: Metrics::register(registry),
        max_body: config.max_body_bytes,
        uploads,
        body_timeout: config.body_timeout,
        identity: config.identity_key(),
    };
    router.layer(from_fn_with_state(layer, around))
}

async fn around(State(layer): State<Layer>, request: Request, next: Next) -> Response {
    let context = context(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let mut counted = Counted::enter(&layer.metrics, &method, route, &context);
    let started = counted.started;
    let mut span = trace::span(&context, &method, route);
    let answer = async {
        let response = answer(&layer, request, next).await;
        let response = finish(response, &path, &context);
        log(&method, route, response.status(), started.elapsed());
        response
    };
    let response = context.clone().scope(answer).await;
    counted.status = response.status();
    trace::conclude(&mut span, response.status());
    response
}

/// The caller's trace, request id and deadline, as far as they are valid.
fn context(headers: &HeaderMap) -> Context {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let context = Context::from_headers(text("traceparent"), text(REQUEST_ID));
    match text(DEADLINE).and_then(|ms| ms.parse::<u32>().ok()) {
        Some(ms) => context.with_deadline(Instant::now() + Duration::from_millis(ms.into())),
        None => context,
    }
}

async fn answer(layer: &Layer, mut request: Request, next: Next) -> Response {
    if let Err(problem) = http1::check(&request) {
        return closing(problem);
    }
    // Before the body is read: a forger's isn't worth it.
    if let Some(key) = &layer.identity
        && let Err(problem) = key.admit(&mut request, Utc::now())
    {
        return closing(problem);
    }
    let (max_body, slots) = match &layer.uploads {
        Some(uploads) if is_for(uploads.route, &request) => {
            (uploads.max_body, Some(&uploads.slots))
        }
        _ => (layer.max_body, None),
    };
    // Held until the answer is there: so long the body is in memory.
    let Ok(_slot) = slots.map(|slots| slots.try_acquire()).transpose() else {
        return closing(overloaded());
    };
    let request = match buffer(max_body, layer.body_timeout, request).await {
        Ok(request) => request,
        Err(problem) => return closing(problem),
    };
    // The server hands the faults over while there are any.
    if let Some(faults) = request.extensions().get::<Faults>().cloned() {
        let route = request.extensions().get::<MatchedPath>().cloned();
        let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
        let method = request.method().clone();
        if let Err(problem) = faults.act(&method, route).await {
            return problem.into_response();
        }
    }
    if Context::current()
        .and_then(|c| c.deadline())
        .is_some_and(|at| at <= Instant::now())
    {
        return Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "deadline_exceeded",
            "The caller's deadline has passed",
        )
        .into_response();
    }
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("unknown");
            tracing::error!(panic = text, "handler panicked");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong on our side",
            )
            .into_response()
        }
    }
}

/// Does the request bring a body for this route?
fn is_for(route: &str, request: &Request) -> bool {
    let matched = request.extensions().get::<MatchedPath>();
    matched.is_some_and(|m| m.as_str() == route) && !request.body().is_end_stream()
}

fn overloaded() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Too many uploads at once",
    )
    .retry_after(1)
}

/// The rest of the body may still be on the wire: don't take it for a next request.
fn closing(problem: Problem) -> Response {
    let mut response = problem.into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// Reads the body within its limits of size and time, so that handlers never wait for a slow client.
pub(crate) async fn buffer(
    max_body: usize,
    patience: Duration,
    request: Request,
) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(Request::from_parts(parts, Body::empty()));
    }
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The body is too large",
        )
        .detail(format!("at most {max_body} bytes are accepted"))
    };
    if body.size_hint().lower() > max_body as u64 {
        return Err(too_large());
    }
    match timeout(patience, Limited::new(body, max_body).collect()).await {
        Ok(Ok(body)) => Ok(Request::from_parts(parts, Body::from(body.to_bytes()))),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "broken_body",
            "The body ended early or is framed wrongly",
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow_body",
            "The body took too long to arrive",
        )),
    }
}

/// Renders problems, also those axum answers by itself, and names the request.
pub(crate) fn finish(mut response: Response, path: &str, context: &Context) -> Response {
    let status = response.status();
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = problem.render(path, context.request_id());
    } else if (status.is_client_error() || status.is_server_error()) && plain(response.headers()) {
        let problem = standard(status);
        *response.body_mut() = problem.render(path, context.request_id());
        let headers = response.headers_mut();
        headers.remove("content-length");
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
    }
    if let Ok(id) = HeaderValue::from_str(context.request_id()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn plain(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_none_or(|v| v.as_bytes().starts_with(b"text/plain"))
}

fn standard(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => Problem::new(
            status,
            "method_not_allowed",
            "This method is not supported here",
        ),
        status if status.is_client_error() => {
            Problem::new(status, "bad_request", "The request can't be understood")
        }
        status => Problem::new(status, "internal", "Something went wrong on our side"),
    }
}

/// One line per request; probes only at debug.
fn log(method: &Method, route: &str, status: StatusCode, took: Duration) {
    let status = status.as_u16();
    let ms = took.as_micros() as f64 / 1000.0;
    if trace::is_probe(route) {
        tracing::debug!(%method, route, status, ms, "{method} {route} {status}");
    } else {
        tracing::info!(%method, route, status, ms, "{method} {route} {status}");
    }
}

/// Counts a request when it is over, one that nobody waits for any more among them: else a service whose
/// callers give up would look idle and fast.
struct Counted<'a> {
    metrics: &'a Metrics,
    method: &'a Method,
    route: &'a str,
    context: &'a Context,
    started: Instant,
    status: StatusCode,
}

impl<'a> Counted<'a> {
    fn enter(
        metrics: &'a Metrics,
        method: &'a Method,
        route: &'a str,
        context: &'a Context,
    ) -> Self {
        metrics.in_flight.inc();
        Self {
            metrics,
            method,
            route,
            context,
            started: Instant::now(),
            // nginx's code for it; nothing that is ever answered.
            status: StatusCode::from_u16(499).expect("three digits"),
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.metrics
            .observe(self.method, self.route, self.status, took, self.context);
        // Last: whoever sees that nothing is in flight sees all of it counted.
        self.metrics.in_flight.dec();
    }
}
