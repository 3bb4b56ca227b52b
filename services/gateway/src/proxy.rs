//! Passing a request on to the service it is for.
use crate::{App, Peer, address, routes::JWKS};
use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
        header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH, IF_RANGE, RANGE},
        request::Parts,
        uri::PathAndQuery,
    },
    response::IntoResponse as _,
};
use bytes::Bytes;
use chrono::Utc;
use client::{Call, Replay};
use futures::TryStreamExt as _;
use sabotage::{Bug, crash_point};
use service::{CLIENT_ADDRESS, IDENTITY, Identity, PeerAddress, Problem};
use uuid::Uuid;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// What a client may tell a service; everything else ends here.
const PASSED_ON: [HeaderName; 6] = [
    ACCEPT,
    CONTENT_TYPE,
    IDEMPOTENCY_KEY,
    IF_NONE_MATCH,
    IF_RANGE,
    RANGE,
];
const PROBLEM: &str = "application/problem+json";

/// Sends the request to `peer`, without the `/api` in front, and brings back its answer.
pub async fn forward(app: &App, peer: Peer, request: Request) -> Response<Body> {
    let Ok(_slot) = app.slots(peer).try_acquire() else {
        app.metrics.shed.inc();
        return overloaded().into_response();
    };
    let call = match call(app, peer, request).await {
        Ok(call) => call,
        Err(problem) => return problem.into_response(),
    };
    crash_point!("gateway.before_forward");
    let answer = app.peer(peer).send(call).await;
    crash_point!("gateway.before_reply");
    match answer {
        Ok(answer) => bring_back(answer),
        Err(client::Error::Full { .. }) => {
            app.metrics.shed.inc();
            overloaded().into_response()
        }
        Err(error) => refuse(&error).into_response(),
    }
}

fn overloaded() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Too many requests at once",
    )
    .retry_after(1)
}

async fn call(app: &App, peer: Peer, request: Request) -> Result<Call, Problem> {
    let (parts, body) = request.into_parts();
    let identity = app.identities.of(&parts.headers).await?;
    let inner = parts
        .uri
        .path_and_query()
        .filter(|p| is_plain(p.path()) || p.path() == JWKS)
        .and_then(|p| p.as_str().strip_prefix("/api"));
    let path: PathAndQuery = inner
        .and_then(|p| p.parse().ok())
        .ok_or_else(Problem::not_found)?;
    let mut headers = HeaderMap::with_capacity(PASSED_ON.len());
    for name in PASSED_ON {
        for value in parts.headers.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    // With a key, a POST may be repeated on another replica without harm.
    let unkeyed = parts.method == Method::POST && !headers.contains_key(IDEMPOTENCY_KEY);
    if unkeyed && !sabotage::has(Bug::UnkeyedRetry) {
        let key = Uuid::now_v7().to_string();
        headers.insert(
            IDEMPOTENCY_KEY,
            HeaderValue::try_from(key).expect("a UUID is visible ASCII"),
        );
    }
    sign(app, peer, identity, &parts, &mut headers);
    let mut call = Call::new(parts.method, path);
    if call.method == Method::POST {
        call.replay = Replay::Safe;
    }
    call.headers = headers;
    call.body = collect(body).await?;
    Ok(call)
}

/// Says who the request is from; to auth, which counts guesses, also from where.
fn sign(app: &App, peer: Peer, identity: Identity, parts: &Parts, headers: &mut HeaderMap) {
    let Some(key) = &app.key else { return };
    let now = Utc::now();
    if let Some(value) = key.identity(identity, now) {
        headers.insert(IDENTITY, value);
    }
    if peer == Peer::Auth
        && let Some(PeerAddress(from)) = parts.extensions.get()
    {
        let client = address::client(from.ip(), &parts.headers, app.trusted_proxies);
        headers.insert(CLIENT_ADDRESS, key.client_address(client, now));
    }
}

/// Ids are letters, digits and hyphens. Anything else, such as `..` or `%2e%2e%2f`, names nothing, and
/// could lead past the table if something behind it decoded the path once more.
fn is_plain(path: &str) -> bool {
    path.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-'))
}

/// The body, which `layers` has read already: one chunk in memory.
async fn collect(body: Body) -> Result<Bytes, Problem> {
    let chunks: Vec<Bytes> = body
        .into_data_stream()
        .try_collect()
        .await
        .map_err(|e| Problem::internal(&e))?;
    Ok(match <[Bytes; 1]>::try_from(chunks) {
        Ok([only]) => only,
        Err(chunks) => chunks.concat().into(),
    })
}

fn bring_back(mut answer: Response<Bytes>) -> Response<Body> {
    if answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|v| v == PROBLEM)
        && let Some(body) = outside(answer.body())
    {
        answer.headers_mut().remove(CONTENT_LENGTH);
        *answer.body_mut() = body;
    }
    answer.map(Body::from)
}

/// A problem names the path that the client asked for, not the one inside.
fn outside(body: &[u8]) -> Option<Bytes> {
    let mut problem: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).ok()?;
    let instance = format!("/api{}", problem.get("instance")?.as_str()?);
    problem.insert("instance".to_owned(), instance.into());
    serde_json::to_vec(&problem).ok().map(Bytes::from)
}

fn refuse(error: &client::Error) -> Problem {
    match error {
        client::Error::Timeout { upstream } | client::Error::Expired { upstream } => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            "It took too long",
        )
        .detail(format!(
            "{upstream} did not answer in time; the request may have been carried out"
        ))
        .retry_after(1),
        client::Error::Unavailable { upstream, .. } => Problem::unavailable(upstream, error),
        error => {
            let mut problem = Problem::unavailable("a service behind the gateway", error);
            problem.status = StatusCode::BAD_GATEWAY;
            problem.code = "bad_gateway";
            problem
        }
    }
}
