//! The same on S3-compatible storage: a stand-in that knows PUT, GET and HEAD of an object.
use crate::{
    samples::jpeg,
    support::{exchange, upload},
};
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use service::testing::Process;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

const BINARY: &str = env!("CARGO_BIN_EXE_image");

/// What is stored, by path.
type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

async fn object(State(objects): State<Objects>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let signed = parts
        .headers
        .get("authorization")
        .and_then(|v| v.to_str().ok());
    assert!(signed.is_some_and(|v| v.starts_with("AWS4-HMAC-SHA256 Credential=me/")));
    if parts.method == Method::PUT {
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("a body");
        objects.lock().expect("not poisoned").insert(path, body);
        return [("etag", "\"x\"")].into_response();
    }
    let found = objects.lock().expect("not poisoned").get(&path).cloned();
    let meta = [
        ("etag", "\"x\""),
        ("last-modified", "Sat, 21 Nov 2026 12:00:00 GMT"),
    ];
    match found {
        Some(bytes) => (meta, bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[test]
fn pictures_are_kept_in_a_bucket() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let objects = Objects::default();
    let router = Router::new().fallback(object).with_state(objects.clone());
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    runtime.spawn(async move { axum::serve(listener, router).await });
    let settings = [
        ("IMAGE_STORE_URL", "s3://shop/pictures"),
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "me"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
    ];
    let image = Process::start(BINARY, &settings).ready();
    for replayed in [false, true] {
        let answer = upload(image.api, &jpeg(900, 300));
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        assert_eq!(
            answer.contains("idempotent-replayed: true"),
            replayed,
            "{answer}"
        );
        let at = answer.find("\"id\":\"").expect("an id") + 6;
        let id = &answer[at..at + 64];
        let stored = objects.lock().expect("not poisoned");
        for name in ["full", "800", "256"] {
            let path = format!("/shop/pictures/{id}/{name}.jpg");
            assert!(stored.contains_key(&path), "{path} in {:?}", stored.keys());
        }
        drop(stored);
        let head = format!("GET /images/{id} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let got = exchange(image.api, &[head.as_bytes()]);
        assert!(got.starts_with("HTTP/1.1 200 "), "{got}");
    }
    drop(runtime);
    let answer = upload(image.api, &jpeg(901, 300));
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}
