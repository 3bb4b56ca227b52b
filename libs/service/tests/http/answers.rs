//! What every answer says: problems, request ids, traces, deadlines.
use crate::support::{Connection, assert_serves, config, get_path, raw, request, start};
use serde_json::Value;

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let running = start(config()).await;
    let reply = get_path(running.api, "/nowhere?x=1").await;
    reply.expect_problem(404, "not_found");
    assert_eq!(reply.json()["instance"], "/nowhere");
    for (method, path, allowed) in [
        ("DELETE", "/", "GET,HEAD"),
        ("GET", "/length", "POST"),
        ("FROB", "/", "GET,HEAD"),
    ] {
        let reply = request(running.api, method, path, "").await;
        reply.expect_problem(405, "method_not_allowed");
        assert_eq!(reply.headers["allow"], allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn trace_and_connect_do_nothing() {
    let running = start(config()).await;
    for (line, status, code) in [
        ("TRACE /", 405, "method_not_allowed"),
        ("TRACE /nowhere", 404, "not_found"),
        ("CONNECT other:443", 404, "not_found"),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: other:443\r\nCookie: secret=1\r\n\r\n");
        let reply = raw(running.api, text).await.expect("an answer");
        reply.expect_problem(status, code);
        // RFC 9110 section 15.5.6
        assert_eq!(reply.headers.contains_key("allow"), status == 405, "{line}");
        assert!(!reply.text.contains("secret"), "{line} was echoed");
    }
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_process_serves_on() {
    let running = start(config()).await;
    let mut connection = Connection::open(running.api).await;
    for _ in 0..3 {
        connection
            .send("GET /panic HTTP/1.1\r\nHost: shop\r\n\r\n")
            .await;
        let reply = connection.reply().await.expect("an answer");
        reply.expect_problem(500, "internal");
        assert!(!reply.text.contains("a fault in a handler"), "{reply:?}");
    }
    assert_serves(&running).await;
}

#[tokio::test]
async fn bodies_that_are_not_json_are_refused() {
    let running = start(config()).await;
    let deep = "[".repeat(5000);
    for (body, status, code) in [
        ("", 400, "malformed_json"),
        ("{", 400, "malformed_json"),
        ("{} trailing", 400, "malformed_json"),
        ("\u{feff}{}", 400, "malformed_json"),
        (r#"{"a": "\ud800"}"#, 400, "malformed_json"),
        (&deep, 400, "malformed_json"),
    ] {
        let reply = post_json(&running, body.as_bytes(), "application/json").await;
        reply.expect_problem(status, code);
        assert!(
            reply.text.len() < 600,
            "the answer echoes {} bytes",
            reply.text.len()
        );
    }
    // No type of ours is a list, and a reader must not take one for an object.
    post_json(&running, b" [1]", "application/json")
        .await
        .expect_problem(422, "invalid_field");
    post_json(&running, b"\"\xff\"", "application/json")
        .await
        .expect_problem(400, "malformed_json");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        post_json(&running, b"{}", kind)
            .await
            .expect_problem(415, "not_json");
    }
    assert_eq!(
        post_json(&running, b"{}", "Application/JSON; charset=utf-8")
            .await
            .status,
        200
    );
}

async fn post_json(
    running: &crate::support::Running,
    body: &[u8],
    kind: &str,
) -> crate::support::Reply {
    let head = format!(
        "POST /json HTTP/1.1\r\nHost: shop\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    raw(running.api, [head.as_bytes(), body].concat())
        .await
        .expect("an answer")
}

#[tokio::test]
async fn a_valid_request_id_is_kept_and_a_forged_one_replaced() {
    let running = start(config()).await;
    let reply = request(running.api, "GET", "/context", "X-Request-Id: order-42\r\n").await;
    assert_eq!(reply.headers["x-request-id"], "order-42");
    assert_eq!(reply.json()["request_id"], "order-42");
    let long = "x".repeat(65);
    for forged in [
        "two words",
        "a;b",
        "<script>",
        "${jndi:ldap://x}",
        "",
        &long,
    ] {
        let reply = request(
            running.api,
            "GET",
            "/nowhere",
            &format!("X-Request-Id: {forged}\r\n"),
        )
        .await;
        let id = reply.headers["x-request-id"]
            .to_str()
            .expect("ASCII")
            .to_owned();
        assert_ne!(id, forged);
        assert!(
            (1..=64).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "{id}"
        );
        assert_eq!(
            reply.json()["request_id"],
            id.as_str(),
            "the body names the same request"
        );
    }
}

#[tokio::test]
async fn a_trace_is_continued_and_a_broken_one_begun_anew() {
    let running = start(config()).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let seen = async |header: &str| {
        let reply = request(
            running.api,
            "GET",
            "/context",
            &format!("traceparent: {header}\r\n"),
        )
        .await;
        let value: Value = reply.json();
        value["traceparent"]
            .as_str()
            .expect("text")
            .split('-')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let child = seen(&format!("00-{trace}-00f067aa0ba902b7-01")).await;
    assert_eq!((child[1].as_str(), child[3].as_str()), (trace, "01"));
    assert_ne!(child[2], "00f067aa0ba902b7", "the span is our own");
    for broken in [
        format!("00-{trace}-0000000000000000-01"),
        "00-0-0-0".to_owned(),
        "junk".to_owned(),
    ] {
        let fresh = seen(&broken).await;
        assert!(
            fresh[1] != trace && fresh[1].len() == 32,
            "{broken}: {fresh:?}"
        );
    }
}

#[tokio::test]
async fn work_whose_deadline_has_passed_is_not_started() {
    let running = start(config()).await;
    let reply = request(running.api, "GET", "/panic", "X-Request-Deadline-Ms: 0\r\n").await;
    reply.expect_problem(504, "deadline_exceeded");
    for fine in ["5000", "-1", "soon", "99999999999999999999"] {
        let headers = format!("X-Request-Deadline-Ms: {fine}\r\n");
        assert_eq!(
            request(running.api, "GET", "/", &headers).await.status,
            200,
            "{fine}"
        );
    }
}
