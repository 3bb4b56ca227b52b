//! Black-box calls on a router, and services as processes, for the tests of services.
mod process;

pub use process::{Process, expect_refused, expect_start_and_stop, free_port};

use crate::{Config, Identity};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header::CONTENT_TYPE},
};
use chrono::Utc;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use uuid::Uuid;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Null when the body isn't JSON.
    pub body: Value,
}

impl Answer {
    /// Panics unless this is a problem of this status and code.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), &self.body["type"]),
            (status, &code.into()),
            "{self:?}"
        );
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(
            self.body["request_id"].is_string() && self.body["instance"].is_string(),
            "{self:?}"
        );
    }

    /// Panics unless the status is this; gives the body.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self.body
    }
}

/// Calls a router with a raw request.
pub async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router
        .clone()
        .oneshot(request)
        .await
        .expect("routers never fail");
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .expect("the body is in memory")
        .to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

/// Calls a router with a JSON body, or none when it is null.
pub async fn call(router: &Router, method: &str, path: &str, body: Value) -> Answer {
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    call_with(router, method, path, &text, &[]).await
}

/// Calls a router with any text as `application/json` and with headers.
pub async fn call_with(
    router: &Router,
    method: &str,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "test")
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Body::from(body.to_owned()))
        .expect("a valid request");
    send(router, request).await
}

/// The signed header of somebody, as the gateway of a development platform writes it.
#[must_use]
pub fn identity(who: Identity) -> (&'static str, String) {
    let key = Config::defaults().identity_key();
    let key = key.expect("development has a key");
    let value = key.identity(who, Utc::now()).expect("not anonymous");
    let value = value.to_str().expect("visible ASCII");
    ("x-identity", value.to_owned())
}

/// Calls a router as somebody, with a JSON body, or none when it is null.
pub async fn call_as(
    router: &Router,
    who: Identity,
    method: &str,
    path: &str,
    body: Value,
) -> Answer {
    let text = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let signed = match who {
        Identity::Anonymous => None,
        who => Some(identity(who)),
    };
    let headers: Vec<_> = signed.iter().map(|(n, v)| (*n, v.as_str())).collect();
    call_with(router, method, path, &text, &headers).await
}

/// An operator, for tests that need just any.
pub const OPERATOR: Identity = Identity::Operator(Uuid::from_u128(1));
