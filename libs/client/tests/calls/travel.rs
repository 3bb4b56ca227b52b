//! What travels with a call, and what comes back.

use crate::support::{Peer, Replica, Script, json, ok, status};
use bytes::Bytes;
use client::{Call, Error, Settings};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;
use telemetry::Context;
use tokio::time::Instant;

fn get() -> Call {
    Call::to(Method::GET, "/things?limit=5").unwrap()
}

fn deadline_ms(replica: &Replica) -> u64 {
    let headers = replica.last().2;
    headers["x-request-deadline-ms"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn ids_and_deadline_travel() {
    let replica = Replica::start(ok()).await;
    let peer = Peer::new(&[&replica], Settings::default());
    let context = Context::root().with_deadline(Instant::now() + Duration::from_millis(700));
    let forged = HeaderValue::from_static("forged");
    let call = get()
        .header(header::HOST, forged.clone())
        .header(header::CONTENT_LENGTH, HeaderValue::from_static("7"))
        .header(header::ACCEPT, HeaderValue::from_static("text/plain"))
        .header("x-request-id".parse().unwrap(), forged.clone())
        .header(
            "x-request-deadline-ms".parse().unwrap(),
            HeaderValue::from_static("99999"),
        );
    context
        .clone()
        .scope(peer.upstream.send(call))
        .await
        .unwrap();

    let (method, path, headers, body) = replica.last();
    assert_eq!(
        (method, path.as_str(), body.len()),
        (Method::GET, "/things?limit=5", 0)
    );
    assert_eq!(headers["traceparent"], context.traceparent());
    assert_eq!(headers["x-request-id"], context.request_id());
    assert_eq!(headers["host"], replica.address.to_string());
    assert_eq!(headers["accept"], "text/plain");
    assert!(!headers.contains_key("content-length"));
    assert!((1..=700).contains(&deadline_ms(&replica)));
}

#[tokio::test]
async fn the_deadline_shrinks_and_is_never_extended() {
    let replica = Replica::start(Script::Hang).await;
    let settings = Settings {
        call_try_timeout: Duration::from_millis(150),
        ..Settings::default()
    };
    let peer = Peer::new(&[&replica], settings);
    // Longer than the settings allow: the settings win.
    let late = Context::root().with_deadline(Instant::now() + Duration::from_secs(60));
    let started = Instant::now();
    let post = Call::to(Method::POST, "/things").unwrap();
    let within = tokio::time::timeout(Duration::from_millis(50), peer.upstream.send(post));
    late.scope(within).await.unwrap_err();
    assert!(deadline_ms(&replica) <= 3_000);

    // Each try has less left than the one before, and all of them end in time.
    let soon = Context::root().with_deadline(started + Duration::from_millis(400));
    let result = soon.clone().scope(peer.upstream.send(get())).await;
    assert!(matches!(result, Err(Error::Timeout { .. })), "{result:?}");
    assert!(deadline_ms(&replica) <= 150, "{}", deadline_ms(&replica));
    assert!(started.elapsed() < Duration::from_millis(700));

    let calls = replica.calls();
    let over = soon.with_deadline(Instant::now());
    let result = over.scope(peer.upstream.send(get())).await;
    assert!(matches!(result, Err(Error::Expired { .. })), "{result:?}");
    assert_eq!(
        replica.calls(),
        calls,
        "work that came too late was started"
    );
}

#[tokio::test]
async fn answers_that_are_too_large_are_cut_off() {
    let large = Script::Answer(200, None, Bytes::from(vec![0; 2_000]), Duration::ZERO);
    let replica = Replica::start(ok()).await;
    let settings = Settings {
        call_max_response_bytes: 1_000,
        ..Settings::default()
    };
    let peer = Peer::new(&[&replica], settings);
    let chunks = |n, size| Script::Chunks(n, Bytes::from(vec![0; size]));
    for script in [large, chunks(200, 100), chunks(1, 2_000)] {
        replica.play(script);
        let result = peer.upstream.send(get()).await;
        assert!(matches!(result, Err(Error::TooLarge { .. })), "{result:?}");
    }
    replica.play(Script::Chunks(10, Bytes::from(vec![7; 100])));
    let response = peer.upstream.send(get()).await.unwrap();
    assert_eq!(response.body(), &vec![7; 1_000]);
    assert!(!response.headers().contains_key("transfer-encoding"));
}

#[tokio::test]
async fn large_answers_share_their_memory_until_they_are_gone() {
    let of = |size| Script::Answer(200, None, Bytes::from(vec![7; size]), Duration::ZERO);
    let replica = Replica::start(of(150_000)).await;
    let settings = Settings {
        call_max_response_bytes: 200_000,
        call_answer_memory_bytes: 400_000,
        ..Settings::default()
    };
    let peer = Peer::new(&[&replica], settings);
    let held = [
        peer.upstream.send(get()).await.unwrap(),
        peer.upstream.send(get()).await.unwrap(),
    ];
    for _ in 0..10 {
        let result = peer.upstream.send(get()).await;
        assert!(matches!(result, Err(Error::Full { .. })), "{result:?}");
    }
    // It is no fault of the replica, and small answers need no room.
    replica.play(of(50_000));
    peer.upstream.send(get()).await.unwrap();
    replica.play(of(150_000));
    let body = held[0].body().slice(..1);
    drop(held);
    let result = peer.upstream.send(get()).await.unwrap();
    assert_eq!(result.body().len(), 150_000);
    // A part keeps its whole.
    let another = peer.upstream.send(get()).await;
    assert!(matches!(another, Err(Error::Full { .. })), "{another:?}");
    drop(body);
    peer.upstream.send(get()).await.unwrap();
}

#[tokio::test]
async fn values_go_and_come_as_json() {
    let replica = Replica::start(json(201, r#"{"id": 7}"#)).await;
    let peer = Peer::new(&[&replica], Settings::default());
    let answer: Value = peer
        .upstream
        .post("/things", &json!({"n": 1}))
        .await
        .unwrap();
    assert_eq!(answer, json!({"id": 7}));
    let (_, _, headers, body) = replica.last();
    assert_eq!(
        (&headers["content-type"], &body[..]),
        (&"application/json".parse().unwrap(), &br#"{"n":1}"#[..])
    );

    replica.play(status(204));
    let () = peer.upstream.get("/things").await.unwrap();
    replica.play(json(200, "oops"));
    let result = peer.upstream.get::<Value>("/things").await;
    assert!(
        matches!(result, Err(Error::Unreadable { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_problem_becomes_an_error_to_decide_by() {
    let problem =
        r#"{"type": "sold_out", "title": "Sold out", "status": 409, "detail": "PROD-001"}"#;
    let replica = Replica::start(json(409, problem)).await;
    let peer = Peer::new(&[&replica], Settings::default());
    let error = peer.upstream.get::<Value>("/things").await.unwrap_err();
    let rejection = error.rejection().expect("an answer");
    assert_eq!(rejection.status, StatusCode::CONFLICT);
    assert_eq!(
        (rejection.code.as_str(), rejection.detail.as_deref()),
        ("sold_out", Some("PROD-001"))
    );

    replica.play(Script::Answer(
        429,
        Some(("retry-after", "3")),
        "slow down".into(),
        Duration::ZERO,
    ));
    let error = peer.upstream.get::<Value>("/things").await.unwrap_err();
    let rejection = error.rejection().expect("an answer");
    assert_eq!(
        (rejection.code.as_str(), rejection.retry_after),
        ("", Some(Duration::from_secs(3)))
    );
}

#[tokio::test]
async fn a_name_stands_for_its_addresses() {
    let replica = Replica::start(ok()).await;
    let port = replica.address.port();
    let peer = Peer::at(&format!("http://localhost:{port}"), Settings::default());
    for _ in 0..5 {
        peer.upstream.send(get()).await.unwrap();
    }
    assert_eq!(replica.last().2["host"], format!("localhost:{port}"));
    assert_eq!(peer.breaker(&replica), 0.0);
    assert_eq!(replica.connections(), 1);

    let nobody = Peer::at("http://no-such-host.invalid:80", Settings::default());
    let error = nobody.upstream.send(get()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn probes_ask_every_replica_once() {
    let mut replicas = [
        Replica::start(ok()).await,
        Replica::start(status(503)).await,
        Replica::start(Script::Hang).await,
        Replica::start(ok()).await,
    ];
    let peer = Peer::new(&replicas.iter().collect::<Vec<_>>(), Settings::default());
    replicas[3].kill().await;
    let answers = peer
        .upstream
        .probe_all("/readyz", Duration::from_millis(200))
        .await;
    assert_eq!(answers.len(), 4);
    for (endpoint, answer) in answers {
        let index = replicas
            .iter()
            .position(|r| r.address.to_string() == endpoint)
            .unwrap();
        match (index, answer) {
            (0, Ok(response)) => assert_eq!(response.status(), 200),
            (1, Ok(response)) => assert_eq!(response.status(), 503),
            (2, Err(Error::Timeout { .. })) | (3, Err(Error::Unavailable { .. })) => {}
            (_, answer) => panic!("{index}: {answer:?}"),
        }
    }
    assert_eq!(replicas.each_ref().map(Replica::calls), [1, 1, 1, 0]);
    assert!(
        replicas.iter().all(|r| peer.breaker(r) == 0.0),
        "a probe is no call"
    );
}
