//! `/api/openapi.json`: what the services say of themselves, put together.
use crate::{Access, App, routes};
use axum::http::Method;
use client::Upstream;
use serde_json::{Map, Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// A rolling update shows after this time.
const FRESH: Duration = Duration::from_secs(30);
/// A service that was away shows after this time; until then nobody waits for it again.
const INCOMPLETE: Duration = Duration::from_secs(1);

/// Name of the one security scheme.
const TOKEN: &str = "token";

/// The last document, and until when it is good.
#[derive(Default)]
pub struct Recent(Mutex<Option<(Instant, Arc<Value>)>>);

impl Recent {
    /// The document; while a service is away, without its part.
    pub async fn get(&self, app: &App) -> Arc<Value> {
        let mut recent = self.0.lock().await;
        if let Some((until, document)) = &*recent
            && Instant::now() < *until
        {
            return document.clone();
        }
        let (document, complete) = merge(app).await;
        let document = Arc::new(document);
        let good = if complete { FRESH } else { INCOMPLETE };
        *recent = Some((Instant::now() + good, document.clone()));
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
            let item = public(&path, &item);
            if !item.is_empty() {
                paths.insert(path, item.into());
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
        "components": {
            "schemas": schemas,
            "securitySchemes": {TOKEN: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    });
    (document, complete)
}

/// What can be reached from outside of one path's operations.
fn public(path: &str, item: &Value) -> Map<String, Value> {
    let mut operations = object(item);
    operations.retain(|method, operation| {
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
        let access = method.ok().and_then(|method| routes::access(&method, path));
        if access.is_some_and(|access| access > Access::Anyone) {
            operation["security"] = json!([{TOKEN: []}]);
        }
        access.is_some()
    });
    operations
}

async fn fetch(upstream: &Upstream) -> Option<Value> {
    upstream.get("/openapi.json").await.ok()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
