//! Who a request is from: tokens, and what the services are told.
use crate::support::{Gateway, Shop};
use axum::{Router, http::StatusCode, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use contracts::auth::{Jwk, Jwks};
use ring::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use service::{
    Identity, Json,
    testing::{Answer, OPERATOR, call_as, identity},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

const ADA: Uuid = Uuid::from_u128(7);

/// What auth would be: keys that sign, and a count of those who ask for them.
#[derive(Clone)]
pub struct Issuer {
    kids: Arc<Mutex<Vec<&'static str>>>,
    asked: Arc<AtomicUsize>,
}

fn pair(kid: &str) -> Ed25519KeyPair {
    let mut seed = [0; 32];
    seed[..kid.len()].copy_from_slice(kid.as_bytes());
    Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed")
}

impl Issuer {
    pub fn new() -> Self {
        Self {
            kids: Arc::new(Mutex::new(vec!["k1"])),
            asked: Arc::default(),
        }
    }

    /// Publishes these keys from now on.
    fn publish(&self, kids: &[&'static str]) {
        *self.kids.lock().expect("not poisoned") = kids.to_vec();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn jwks(&self) -> Jwks {
        let kids = self.kids.lock().expect("not poisoned");
        let key = |kid: &&str| Jwk {
            kty: "OKP".into(),
            crv: "Ed25519".into(),
            alg: "EdDSA".into(),
            r#use: "sig".into(),
            kid: (*kid).into(),
            x: BASE64.encode(pair(kid).public_key()),
        };
        Jwks {
            keys: kids.iter().map(key).collect(),
        }
    }

    pub fn router(&self) -> Router {
        let issuer = self.clone();
        let jwks = move || {
            issuer.asked.fetch_add(1, Ordering::Relaxed);
            let jwks = issuer.jwks();
            async { Json(jwks) }
        };
        Router::new().route("/.well-known/jwks.json", get(jwks))
    }

    async fn shop(&self, settings: &[&str]) -> Shop {
        let routes = |service: &str| match service {
            "auth" => self.router(),
            _ => Router::new(),
        };
        Shop::with(routes, settings).await
    }
}

fn header() -> Value {
    json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k1"})
}

fn claims() -> Value {
    let now = chrono::Utc::now().timestamp();
    json!({"iss": "seawall-auth", "aud": "seawall", "sub": ADA, "role": "user",
        "iat": now, "nbf": now, "exp": now + 600})
}

fn with(mut value: Value, field: &str, other: Value) -> Value {
    value[field] = other;
    value
}

fn without(mut value: Value, field: &str) -> Value {
    value.as_object_mut().expect("an object").remove(field);
    value
}

/// What is signed: header and claims.
fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn token(header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let signature = pair("k1").sign(message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature))
}

/// The header of somebody whose session is over in `seconds`.
pub fn session(role: &str, seconds: i64) -> String {
    let end = chrono::Utc::now().timestamp() + seconds;
    let claims = with(with(claims(), "role", json!(role)), "exp", json!(end));
    format!("Bearer {}", token(&header(), &claims))
}

async fn ask(gateway: &Gateway, token: &str) -> Answer {
    let value = format!("Bearer {token}");
    let headers = [("authorization", value.as_str())];
    gateway.call_with("GET", "/api/orders", &headers).await
}

#[track_caller]
fn expect_invalid(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 401, "{what}: {answer:?}");
    answer.expect_problem(401, "invalid_token");
    let challenge = &answer.headers["www-authenticate"];
    assert_eq!(challenge, r#"Bearer error="invalid_token""#, "{what}");
}

/// The identity header that a service got last.
fn told(shop: &Shop) -> Option<String> {
    let seen = shop.service("order").seen().pop().expect("it was asked");
    let value = seen.headers.get("x-identity")?;
    Some(value.to_str().expect("ASCII").to_owned())
}

#[tokio::test]
async fn a_good_token_tells_the_service_who_it_is() {
    let issuer = Issuer::new();
    let shop = issuer.shop(&[]).await;
    for role in ["user", "operator"] {
        let token = token(&header(), &with(claims(), "role", json!(role)));
        for _ in 0..3 {
            ask(&shop.gateway, &token).await.expect(200);
            let told = told(&shop).expect("an identity");
            assert!(told.starts_with(&format!("v1.{ADA}.{role}.")), "{told}");
        }
    }
    shop.gateway.get("/api/orders").await.expect(200);
    assert_eq!(told(&shop), None, "anonymous");
    assert_eq!(issuer.asked(), 1, "keys are kept");
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let issuer = Issuer::new();
    let shop = issuer.shop(&[]).await;
    let now = chrono::Utc::now().timestamp();
    let good = token(&header(), &claims());
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (head, body) = signed.split_once('.').expect("three parts");
    let mut bad = vec![
        ("empty", String::new()),
        ("not a token", "x".into()),
        ("no signature", format!("{signed}.")),
        ("two parts", signed.to_owned()),
        ("four parts", format!("{good}.x")),
        ("padding", format!("{good}==")),
        ("another's claims", {
            let eve = message(&header(), &with(claims(), "sub", json!(Uuid::from_u128(8))));
            format!("{eve}.{signature}")
        }),
        ("a cut signature", good[..good.len() - 2].to_owned()),
        ("other bytes", format!("{head}.{body}A.{signature}")),
        ("long", format!("{head}.{}.{signature}", "A".repeat(50_000))),
        ("a refresh token", BASE64.encode([7; 32])),
    ];
    // HMAC under the public key, which everybody has.
    let hs256 = message(&with(header(), "alg", json!("HS256")), &claims());
    let public = hmac::Key::new(hmac::HMAC_SHA256, pair("k1").public_key().as_ref());
    let tag = hmac::sign(&public, hs256.as_bytes());
    bad.push(("HS256", format!("{hs256}.{}", BASE64.encode(tag))));
    for alg in ["none", "None", "nOnE", "EdDsa", "ES256", ""] {
        let header = with(header(), "alg", json!(alg));
        bad.push(("alg", token(&header, &claims())));
        bad.push(("alg, unsigned", format!("{}.", message(&header, &claims()))));
    }
    for (field, value) in [
        ("typ", json!("JWT")),
        ("typ", json!(null)),
        ("kid", json!("k2")),
        ("kid", json!("../../dev/null")),
        ("kid", json!("' OR 1=1--")),
        ("kid", json!(7)),
        ("crit", json!(["exp"])),
    ] {
        bad.push(("header", token(&with(header(), field, value), &claims())));
    }
    for field in ["alg", "typ", "kid"] {
        bad.push((
            "header without",
            token(&without(header(), field), &claims()),
        ));
    }
    for (field, value) in [
        ("iss", json!("somebody")),
        ("aud", json!("elsewhere")),
        ("aud", json!(["seawall"])),
        ("sub", json!("ada")),
        ("role", json!("root")),
        ("exp", json!(now - 61)),
        ("exp", json!(now - 6)),
        ("exp", json!(now + 86_400)),
        ("exp", json!("later")),
        ("exp", json!(1e300)),
        ("nbf", json!(now + 60)),
        ("iat", json!(now + 60)),
        ("iat", json!(i64::MIN)),
    ] {
        bad.push((field, token(&header(), &with(claims(), field, value))));
    }
    for field in ["iss", "aud", "sub", "role", "exp", "nbf", "iat"] {
        bad.push((
            "claims without",
            token(&header(), &without(claims(), field)),
        ));
    }
    for (what, token) in bad {
        expect_invalid(
            &format!("{what}: {token:.60}"),
            &ask(&shop.gateway, &token).await,
        );
    }
    assert!(shop.service("order").seen().is_empty());
    // Where the token says its key is does not matter.
    let jku = with(header(), "jku", json!("https://example.com/keys"));
    ask(&shop.gateway, &token(&jku, &claims()))
        .await
        .expect(200);
    let late = with(
        with(claims(), "exp", json!(now - 3)),
        "iat",
        json!(now - 300),
    );
    ask(&shop.gateway, &token(&header(), &late))
        .await
        .expect(200);
}

#[tokio::test]
async fn headers_that_are_no_bearer_token_are_refused() {
    let shop = Issuer::new().shop(&[]).await;
    let good = token(&header(), &claims());
    let call = async |values: &[String]| {
        let headers: Vec<_> = values
            .iter()
            .map(|v| ("authorization", v.as_str()))
            .collect();
        shop.gateway.call_with("GET", "/api/orders", &headers).await
    };
    call(&[format!("bearer {good}")]).await.expect(200);
    for values in [
        vec![good.clone()],
        vec![format!("Basic {good}")],
        vec![format!("Bearer  {good}")],
        vec![format!("Bearer {good}"), format!("Bearer {good}")],
        vec![String::new()],
    ] {
        expect_invalid(&format!("{values:.80?}"), &call(&values).await);
    }
}

/// One that was proven is remembered, but not beyond its time.
#[tokio::test]
async fn a_token_ends_when_it_says() {
    let shop = Issuer::new().shop(&[]).await;
    let now = chrono::Utc::now().timestamp();
    let claims = with(
        with(claims(), "exp", json!(now + 2)),
        "iat",
        json!(now - 100),
    );
    let token = token(&header(), &claims);
    ask(&shop.gateway, &token).await.expect(200);
    let started = Instant::now();
    while ask(&shop.gateway, &token).await.status == StatusCode::OK {
        assert!(started.elapsed() < Duration::from_secs(20), "it never ends");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn without_auth_tokens_are_still_good() {
    let issuer = Issuer::new();
    let mut shop = issuer.shop(&["--call-deadline=300ms"]).await;
    let first = token(&header(), &claims());
    ask(&shop.gateway, &first).await.expect(200);
    shop.stop("auth");
    let second = token(&header(), &with(claims(), "sub", json!(Uuid::from_u128(9))));
    for token in [first, second] {
        ask(&shop.gateway, &token).await.expect(200);
    }
    let unknown = token(&with(header(), "kid", json!("k2")), &claims());
    expect_invalid(
        "a key that can't be asked for",
        &ask(&shop.gateway, &unknown).await,
    );
}

/// Nothing can be said then, so it is no fault of the client's.
#[tokio::test]
async fn a_gateway_that_never_reached_auth_says_so() {
    let order = crate::support::Stub::start("order", Router::new()).await;
    let gateway = Gateway::new(&[("order", &order.url)], &["--call-deadline=300ms"]);
    let answer = ask(&gateway, &token(&header(), &claims())).await;
    answer.expect_problem(503, "unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    gateway.get("/api/orders").await.expect(200);
}

#[tokio::test]
async fn a_new_key_is_asked_for_and_made_up_ones_are_not_asked_for_each_time() {
    let issuer = Issuer::new();
    let shop = issuer.shop(&[]).await;
    let of = |kid: &'static str| {
        let message = message(&with(header(), "kid", json!(kid)), &claims());
        let signature = pair(kid).sign(message.as_bytes());
        format!("{message}.{}", BASE64.encode(signature))
    };
    ask(&shop.gateway, &of("k1")).await.expect(200);
    for n in 0..200 {
        let made_up = token(&with(header(), "kid", json!(format!("k{n}x"))), &claims());
        expect_invalid("made up", &ask(&shop.gateway, &made_up).await);
    }
    assert!(issuer.asked() <= 10, "asked {} times", issuer.asked());

    issuer.publish(&["k1", "k2"]);
    let started = Instant::now();
    while ask(&shop.gateway, &of("k2")).await.status != StatusCode::OK {
        assert!(started.elapsed() < Duration::from_secs(20), "never taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ask(&shop.gateway, &of("k1")).await.expect(200);
    // One that was withdrawn takes its tokens with it, also those that are remembered.
    issuer.publish(&["k2", "k3"]);
    let started = Instant::now();
    while ask(&shop.gateway, &of("k3")).await.status != StatusCode::OK {
        assert!(started.elapsed() < Duration::from_secs(20), "never taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    expect_invalid("withdrawn", &ask(&shop.gateway, &of("k1")).await);
}

#[tokio::test]
async fn what_clients_say_of_themselves_stays_outside() {
    let shop = Issuer::new().shop(&[]).await;
    let forged = [
        ("x-user-id", "operator"),
        ("x-role", "operator"),
        ("x-client-id", "1"),
    ];
    shop.gateway
        .call_with("GET", "/api/orders", &forged)
        .await
        .expect(200);
    assert_eq!(told(&shop), None);
    // Not even what a gateway has signed: it is for the inside.
    let answer = call_as(
        &shop.gateway.router,
        OPERATOR,
        "GET",
        "/api/orders",
        Value::Null,
    )
    .await;
    answer.expect(200);
    assert_eq!(told(&shop), None);
    let (name, value) = identity(Identity::User(ADA));
    let token = format!("Bearer {}", token(&header(), &claims()));
    let both = [(name, value.as_str()), ("authorization", &token)];
    shop.gateway
        .call_with("GET", "/api/orders", &both)
        .await
        .expect(200);
    let seen = shop.service("order").seen().pop().expect("it was asked");
    assert_eq!(seen.headers.get_all("x-identity").iter().count(), 1);
    assert!(!seen.headers.contains_key("authorization"));
    for name in ["x-identity", "x-client-address"] {
        let forged = [(
            name,
            "v1.00000000-0000-0000-0000-000000000001.operator.9999999999.00",
        )];
        let answer = shop.gateway.call_with("GET", "/api/orders", &forged).await;
        answer.expect_problem(401, "invalid_identity");
    }
}

/// A password may have been changed although the answer was lost.
#[tokio::test]
async fn a_change_of_an_account_is_not_sent_twice() {
    let routes = |service: &str| match service {
        "auth" => Router::new().route(
            "/auth/me",
            get(StatusCode::SERVICE_UNAVAILABLE).patch(std::future::pending::<()>),
        ),
        _ => Router::new(),
    };
    let limits = ["--call-try-timeout=50ms", "--call-deadline=400ms"];
    let shop = Shop::with(routes, &limits).await;
    let answer = shop.gateway.call("PATCH", "/api/auth/me", json!({})).await;
    answer.expect_problem(504, "upstream_timeout");
    assert_eq!(shop.service("auth").seen().len(), 1);
}
