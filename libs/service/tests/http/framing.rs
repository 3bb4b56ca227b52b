//! Requests whose framing or target two parsers could read differently (RFC 9112, RFC 9110).
use crate::support::{Connection, assert_serves, config, raw, start};

/// Sends a request followed by a second one; the second must not be answered.
async fn refused(running: &crate::support::Running, head: &[u8], status: u16) {
    let name = String::from_utf8_lossy(head).into_owned();
    let mut connection = Connection::open(running.api).await;
    connection.send(head).await;
    connection
        .send("GET /items/smuggled HTTP/1.1\r\nHost: shop\r\n\r\n")
        .await;
    let reply = connection
        .reply()
        .await
        .unwrap_or_else(|| panic!("no answer to {name:?}"));
    assert_eq!(reply.status, status, "{name:?}: {reply:?}");
    if !reply.text.is_empty() {
        reply.expect_problem(reply.status, reply.json()["type"].as_str().expect("a code"));
    }
    assert_eq!(
        connection.closed().await,
        0,
        "{name:?} was followed by another answer"
    );
}

#[tokio::test]
async fn ambiguous_or_broken_heads_are_refused_and_the_connection_ends() {
    let running = start(config()).await;
    let post = |headers: &str| format!("POST /length HTTP/1.1\r\nHost: shop\r\n{headers}\r\n\r\n");
    let bad = [
        post("Content-Length: 5\r\nContent-Length: 6"),
        post("Content-Length: +5"),
        post("Content-Length: -1"),
        post("Content-Length: 18446744073709551616"),
        post("Content-Length: 5, 6"),
        post("Content-Length : 5"),
        post("Transfer-Encoding: xchunked"),
        post("Transfer-Encoding: chunked, gzip"),
        post("Transfer-Encoding : chunked"),
        post("X-Folded: one\r\n two"),
        post("X-Nul: a\0b"),
        post("X-Cr: a\rb"),
        post("Host: other"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET http://other/ HTTP/1.1\r\nHost: shop\r\n\r\n".to_owned(),
        "GET / HTTP/9.1\r\nHost: shop\r\n\r\n".to_owned(),
        "G\0T / HTTP/1.1\r\nHost: shop\r\n\r\n".to_owned(),
        "GET /\u{7f} HTTP/1.1\r\nHost: shop\r\n\r\n".to_owned(),
    ];
    for head in bad {
        refused(&running, head.as_bytes(), 400).await;
    }
    // Complete in themselves, so that only the coding can be what is refused.
    for (codings, status) in [
        ("Transfer-Encoding: gzip, chunked", 501),
        (
            "Transfer-Encoding: xchunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
    ] {
        let complete = post(codings) + "3\r\nabc\r\n0\r\n\r\n";
        refused(&running, complete.as_bytes(), status).await;
    }
    assert_serves(&running).await;
}

/// RFC 9112 section 6.1: the chunked body counts, and whatever follows it is not a request.
#[tokio::test]
async fn a_length_beside_chunks_smuggles_nothing() {
    let running = start(config()).await;
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    for headers in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 300\r\nTransfer-Encoding: chunked",
    ] {
        let mut connection = Connection::open(running.api).await;
        let head = format!("POST /length HTTP/1.1\r\nHost: shop\r\n{headers}\r\n\r\n{chunks}");
        connection
            .send(head + "GET /items/smuggled HTTP/1.1\r\nHost: shop\r\n\r\n")
            .await;
        let reply = connection.reply().await.expect("an answer");
        assert!(
            reply.status == 400 || reply.text == "3",
            "{headers}: {reply:?}"
        );
        assert!(reply.closes(), "{headers}: {reply:?}");
        assert_eq!(
            connection.closed().await,
            0,
            "{headers}: more than one answer"
        );
    }
}

#[tokio::test]
async fn broken_chunks_are_refused() {
    let running = start(config()).await;
    let head = "POST /length HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "xyz\r\nabc\r\n0\r\n\r\n",
        "-1\r\n\r\n",
        "fffffffffffffffff\r\nabc",
        "3\r\nabcdef\r\n0\r\n\r\n",
    ] {
        let reply = raw(running.api, format!("{head}{chunks}"))
            .await
            .expect("an answer");
        assert_eq!(reply.status, 400, "{chunks:?}");
        assert!(reply.closes(), "{chunks:?}");
    }
    assert_serves(&running).await;
}

#[tokio::test]
async fn good_framing_is_taken() {
    let running = start(config()).await;
    for (request, answer) in [
        (
            "POST /length HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc",
            "3",
        ),
        (
            "POST /length HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "3",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "hello"),
        ("GET http://shop/ HTTP/1.1\r\nHost: shop\r\n\r\n", "hello"),
    ] {
        let reply = raw(running.api, request).await.expect("an answer");
        assert_eq!(
            (reply.status, reply.text.as_str()),
            (200, answer),
            "{request:?}"
        );
    }
}

#[tokio::test]
async fn requests_in_a_row_are_answered_in_order() {
    let running = start(config()).await;
    let mut connection = Connection::open(running.api).await;
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n");
    connection
        .send(one("/") + &one("/items/7") + &one("/nowhere"))
        .await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(connection.reply().await.expect("an answer").status);
    }
    assert_eq!(statuses, [200, 200, 404]);
}
