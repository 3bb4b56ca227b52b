//! What a token adds to a request that the gateway passes on:
//!
//! `cargo run --release -p gateway --example token`
//!
//! The same request without a token, with one that was proven before, and with a new one each time, in
//! turns in one run, to a service that does nothing.
use axum::{Router, body::Body, http::Request, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use clap::Parser as _;
use gateway::{App, Config};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use service::{Json, testing::send};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use uuid::Uuid;

const TURN: usize = 500;
const TURNS: usize = 20;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
        let router = gateway(&pair).await?;
        let known = token(&pair);
        call(&router, Some(&known)).await;
        let (mut none, mut same, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let fresh: Vec<_> = (0..TURN).map(|_| token(&pair)).collect();
            for token in &fresh {
                none.push(call(&router, None).await);
                same.push(call(&router, Some(&known)).await);
                new.push(call(&router, Some(token)).await);
            }
        }
        let median = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64() * 1e6
        };
        let (none, same, new) = (median(none), median(same), median(new));
        println!(
            "median of {} requests: {none:.1} µs without a token",
            TURN * TURNS
        );
        println!(
            "{:+.1} µs with one that is known, {:+.1} µs with a new one",
            same - none,
            new - none
        );
        Ok(())
    })
}

/// A gateway before a service that is everything.
async fn gateway(pair: &Ed25519KeyPair) -> anyhow::Result<Router> {
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
        "kid": "k", "x": BASE64.encode(pair.public_key())}]});
    let service = Router::new()
        .route("/.well-known/jwks.json", get(async || Json(keys)))
        .fallback(async || "");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, service).await });
    let arguments = ["auth", "order"].map(|name| format!("--{name}-urls={url}"));
    let config = Config::try_parse_from(["gateway".to_owned()].into_iter().chain(arguments))?;
    let mut registry = telemetry::registry();
    let app = App::new(&config, &mut registry);
    Ok(gateway::router(app, &config, &mut registry))
}

fn token(pair: &Ed25519KeyPair) -> String {
    let now = chrono::Utc::now().timestamp();
    let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k"});
    let claims = json!({"iss": "seawall-auth", "aud": "seawall", "sub": Uuid::now_v7(), "role": "user",
        "iat": now, "nbf": now, "exp": now + 600});
    let message = [header, claims]
        .map(|part| BASE64.encode(part.to_string()))
        .join(".");
    let signature = pair.sign(message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature))
}

async fn call(router: &Router, token: Option<&str>) -> Duration {
    let mut request = Request::get("/api/orders").header("host", "localhost");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).expect("valid");
    let started = Instant::now();
    let answer = send(router, request).await;
    assert!(answer.status.is_success(), "{answer:?}");
    started.elapsed()
}
