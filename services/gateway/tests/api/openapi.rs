//! The documentation: exactly the public routes.
use crate::support::{Gateway, INSIDE, PUBLIC, Shop, Stub};
use axum::{Router, http::StatusCode, response::IntoResponse as _, routing::get};
use serde_json::{Map, Value, json};
use service::Json;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What a service says of itself, its inside included.
fn document(service: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (method, path, owner) in PUBLIC.iter().chain(&INSIDE) {
        if *owner == service {
            let path = path.trim_start_matches("/api").to_owned();
            let item = paths.entry(path).or_insert_with(|| json!({}));
            item[method.to_lowercase()] = json!({"operationId": format!("{service} {method}")});
        }
    }
    let schemas = json!({service: {"type": "object"}, "Problem": {"type": "object"}});
    json!({"openapi": "3.1.0", "paths": paths, "components": {"schemas": schemas}})
}

fn documented(service: &str) -> Router {
    let document = document(service);
    Router::new().route("/openapi.json", get(async || Json(document)))
}

fn operations(document: &Value) -> BTreeSet<(String, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let each = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations").keys();
        methods.map(|m| (m.to_uppercase(), path.clone()))
    });
    each.collect()
}

fn public() -> BTreeSet<(String, String)> {
    let own = ["/api/status", "/api/ops/live"].map(|path| ("GET".to_owned(), path.to_owned()));
    let passed_on = PUBLIC.map(|(method, path, _)| (method.to_owned(), path.to_owned()));
    passed_on.into_iter().chain(own).collect()
}

#[tokio::test]
async fn exactly_the_public_routes_are_documented() {
    let shop = Shop::with(documented, &[]).await;
    let document = shop.gateway.get("/api/openapi.json").await.expect(200);
    assert_eq!(operations(&document), public());
    assert_eq!(document["info"]["title"], "Seawall");
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    for name in ["order", "worker", "Problem", "Status"] {
        assert!(schemas.contains_key(name), "{name} missing");
    }
    assert_eq!(
        document["paths"]["/api/orders"]["post"]["operationId"],
        "order POST"
    );
    for (method, path, _, access) in gateway::TABLE {
        let operation = &document["paths"][path][method.as_str().to_lowercase()];
        let closed = operation["security"] == json!([{"token": []}]);
        assert_eq!(closed, access != gateway::Access::Anyone, "{method} {path}");
    }
}

#[tokio::test]
async fn the_services_are_asked_once_in_a_while() {
    let shop = Shop::with(documented, &[]).await;
    for _ in 0..20 {
        shop.gateway.get("/api/openapi.json").await.expect(200);
    }
    assert_eq!(shop.service("order").seen().len(), 1);
}

#[tokio::test]
async fn without_a_service_the_rest_is_documented() {
    let order = Stub::start("order", documented("order")).await;
    let failing = Router::new().route("/openapi.json", get(StatusCode::INTERNAL_SERVER_ERROR));
    let worker = Stub::start("worker", failing).await;
    let gateway = Gateway::new(&[("order", &order.url), ("worker", &worker.url)], &[]);
    let document = gateway.get("/api/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().expect("paths");
    assert!(
        paths
            .keys()
            .all(|p| p.starts_with("/api/orders") || p == "/api/status" || p == "/api/ops/live")
    );
    assert!(paths.contains_key("/api/orders"));
}

#[tokio::test]
async fn a_service_that_comes_back_is_documented_soon() {
    let asked = Arc::new(AtomicBool::new(false));
    let first_time_away = async move || match asked.swap(true, Ordering::Relaxed) {
        true => Json(document("order")).into_response(),
        false => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let routes = move |service: &str| match service {
        "order" => Router::new().route("/openapi.json", get(first_time_away.clone())),
        _ => documented(service),
    };
    let shop = Shop::with(routes, &[]).await;
    let document = shop.gateway.get("/api/openapi.json").await.expect(200);
    assert!(document["paths"]["/api/orders"].is_null());
    let started = Instant::now();
    while operations(&shop.gateway.get("/api/openapi.json").await.expect(200)) != public() {
        assert!(started.elapsed() < Duration::from_secs(10), "still missing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One that hangs must not make a queue of those who read.
#[tokio::test]
async fn a_service_that_hangs_is_waited_for_once() {
    let hang = |_: &str| Router::new().route("/openapi.json", get(std::future::pending::<()>));
    let shop = Shop::with(hang, &["--call-deadline=300ms"]).await;
    let started = Instant::now();
    let read = || async { shop.gateway.get("/api/openapi.json").await.expect(200) };
    tokio::join!(
        read(),
        read(),
        read(),
        read(),
        read(),
        read(),
        read(),
        read()
    );
    let took = started.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?}");
}
