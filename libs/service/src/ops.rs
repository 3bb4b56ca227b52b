//! The ops listener: probes, metrics and fault points, never public.
use crate::Readiness;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::{future::Future, pin::Pin, sync::Arc};

/// Brings gauges up to date just before they are read, so that idle processes do nothing.
pub(crate) type Refresh = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Ops {
    readiness: Readiness,
    registry: Arc<Registry>,
    refresh: Arc<[Refresh]>,
}

pub(crate) fn router(readiness: Readiness, registry: Registry, refresh: Vec<Refresh>) -> Router {
    let ops = Ops {
        readiness,
        registry: Arc::new(registry),
        refresh: refresh.into(),
    };
    Router::new()
        .route("/livez", get(alive))
        .route("/health", get(alive))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(ops)
}

/// `/health` and `/ready` of the API listener.
pub(crate) fn probes(readiness: Readiness) -> Router {
    let ready = move || {
        let readiness = readiness.clone();
        async move { readiness.answer().await }
    };
    Router::new()
        .route("/health", get(alive))
        .route("/ready", get(ready))
}

/// Alive as long as it can answer; dependencies don't count.
async fn alive() -> &'static str {
    "ok"
}

async fn ready(State(ops): State<Ops>) -> Response {
    ops.readiness.answer().await
}

async fn metrics(State(ops): State<Ops>) -> Response {
    for refresh in ops.refresh.iter() {
        refresh().await;
    }
    let mut text = String::new();
    match encode(&mut text, &ops.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics can't be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
