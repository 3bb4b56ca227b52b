//! `/api/openapi.json`: what the services say of themselves, put together.
use crate::{App, routes};
use client::Upstream;
use serde_json::{Map, Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// A rolling update shows after this time.
const FRESH: Duration = Duration::from_secs(30);

/// The last complete document.
#[derive(Default)]
pub struct Recent(Mutex<Option<(Instant, Arc<Value>)>>);

impl Recent {
    /// The document; while a service is away, without its part.
    pub async fn get(&self, app: &App) -> Arc<Value> {
        let mut recent = self.0.lock().await;
        if let Some((at, document)) = &*recent
            && at.elapsed() < FRESH
        {
            return document.clone();
        }
        let (document, complete) = merge(app).await;
        let document = Arc::new(document);
        if complete {
            *recent = Some((Instant::now(), document.clone()));
        }
        document
    }
}

async fn merge(app: &App) -> (Value, bool) {
    let peers = app.peers();
    let documents =
        futures::future::join_all(peers.iter().map(|(_, upstream)| fetch(upstream))).await;
    let complete = documents.iter().all(Option::is_some);
    let own = serde_json::to_value(routes::own_api()).unwrap_or_default();
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for document in documents.into_iter().flatten() {
        for (path, item) in object(&document["paths"]) {
            let path = format!("/api{path}");
            if routes::is_public(&path) {
                paths.insert(path, item);
            }
        }
        schemas.extend(object(&document["components"]["schemas"]));
    }
    paths.extend(object(&own["paths"]));
    schemas.extend(object(&own["components"]["schemas"]));
    let document = json!({
        "openapi": own["openapi"],
        "info": {
            "title": "Seawall",
            "description": "A small shop to break on purpose. Errors are problem details (RFC 9457).",
            "version": telemetry::VERSION,
            "license": {"name": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": schemas},
    });
    (document, complete)
}

async fn fetch(upstream: &Upstream) -> Option<Value> {
    upstream.get("/openapi.json").await.ok()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
