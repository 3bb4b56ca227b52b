//! The form around the file.
use crate::{
    samples::jpeg,
    support::{Replica, form, head},
};
use axum::body::Body;
use service::testing::Process;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

const BINARY: &str = env!("CARGO_BIN_EXE_image");
const MULTIPART: &str = "multipart/form-data; boundary=----boundary";

#[tokio::test]
async fn only_a_form_with_one_file_is_taken() {
    let replica = Replica::new();
    let file = jpeg(10, 10);
    let good = form(&[("file", "a", &file)]);
    for kind in [
        "application/json",
        "image/jpeg",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
        "",
    ] {
        let answer = replica.post_as(kind, Body::from(good.clone())).await;
        answer.expect_problem(415, "not_multipart");
    }
    let tiny: Vec<(&str, &str, &[u8])> = vec![("x", "", b""); 5000];
    for (what, body) in [
        ("none", form(&[])),
        ("another name", form(&[("picture", "a", &file)])),
        (
            "two files",
            form(&[("file", "a", &file), ("file", "b", &file)]),
        ),
        (
            "one more",
            form(&[("file", "a", &file), ("album", "b", b"1")]),
        ),
        ("many tiny parts", form(&tiny)),
    ] {
        let answer = replica.post(&body).await;
        assert_eq!(answer.status, 422, "{what}");
        answer.expect_problem(422, "invalid_field");
    }
    for broken in [&b""[..], b"nonsense", &good[..good.len() - 20], &good[..60]] {
        let answer = replica.post(broken).await;
        assert_eq!(answer.status, 400, "{}", broken.len());
        answer.expect_problem(400, "malformed_multipart");
    }
    assert_eq!(replica.files(), [""; 0]);
}

#[tokio::test]
async fn names_of_files_are_not_looked_at() {
    let replica = Replica::new();
    let file = jpeg(30, 30);
    let long = "x".repeat(4096);
    let names = [
        "../../../../tmp/evil.jpg",
        "/etc/passwd",
        "..\\..\\evil",
        "con.png",
        "a\u{202e}gpj.exe",
        "%0d%0aX-Evil: 1",
        &long,
    ];
    let mut ids = Vec::new();
    for name in names {
        let stored = replica.post(&form(&[("file", name, &file)])).await;
        assert!(!stored.headers.contains_key("x-evil"));
        ids.push(stored.expect(201)["id"].clone());
    }
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(replica.files().len(), 3);
    // What ends a header or can't be in one is refused, here as anywhere.
    for name in ["a\r\nX-Evil: 1\r\n\r\n<html>", "nul\0byte"] {
        let answer = replica.post(&form(&[("file", name, &file)])).await;
        assert!(!answer.headers.contains_key("x-evil"));
        assert!(answer.status.is_client_error(), "{answer:?}");
    }
}

#[tokio::test]
async fn files_beyond_five_mebibytes_are_refused() {
    let replica = Replica::new();
    let mut file = jpeg(100, 100);
    file.resize(5 << 20, 0);
    replica.upload(&file).await.expect(201);
    file.push(0);
    replica
        .upload(&file)
        .await
        .expect_problem(413, "body_too_large");
    file.resize(6 << 20, 0);
    replica
        .upload(&file)
        .await
        .expect_problem(413, "body_too_large");
    let chunks = futures::stream::iter(vec![Ok::<_, std::convert::Infallible>(file.clone()); 20]);
    let answer = replica.post_as(MULTIPART, Body::from_stream(chunks)).await;
    answer.expect_problem(413, "body_too_large");
    assert_eq!(replica.files().len(), 3);
}

/// Nothing beyond the limits is kept, whatever is announced or sent.
#[test]
fn a_hundred_megabytes_are_refused_before_they_are_sent() {
    let image = Process::start(BINARY, &[]).ready();
    let mut stream = TcpStream::connect(image.api).expect("it listens");
    stream.write_all(head(100 << 20).as_bytes()).expect("sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer before the body");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[test]
fn an_upload_that_stops_half_way_leaves_nothing() {
    let image = Process::start(BINARY, &[("BODY_TIMEOUT", "200ms")]).ready();
    let body = form(&[("file", "a", &jpeg(600, 600))]);
    let half = |stream: &mut TcpStream| {
        stream.write_all(head(body.len()).as_bytes()).expect("sent");
        stream.write_all(&body[..body.len() / 2]).expect("sent");
    };
    let mut stalled = TcpStream::connect(image.api).expect("it listens");
    half(&mut stalled);
    let mut answer = String::new();
    stalled.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");

    let mut gone = TcpStream::connect(image.api).expect("it listens");
    half(&mut gone);
    drop(gone);
    let (_, metrics) = image.get(image.ops, "/metrics").expect("an answer");
    assert!(!metrics.contains("image_uploads_total{"), "{metrics}");
}

/// What one upload more would take is not there: refused at once, and taken when others are done.
#[test]
fn too_many_uploads_at_once_are_refused() {
    let image = Process::start(BINARY, &[("MAX_UPLOADS", "2")]).ready();
    let body = form(&[("file", "a", &jpeg(60, 60))]);
    let begin = || {
        let mut stream = TcpStream::connect(image.api).expect("it listens");
        let started = [head(body.len()).as_bytes(), &body[..10]].concat();
        stream.write_all(&started).expect("sent");
        stream
    };
    let mut held = [begin(), begin()];
    let started = Instant::now();
    let refused = loop {
        let answer = crate::support::upload(image.api, &jpeg(50, 50));
        if answer.starts_with("HTTP/1.1 503 ") {
            break answer;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{answer}");
    };
    assert!(
        refused.contains("overloaded") && refused.contains("retry-after: 1"),
        "{refused}"
    );
    // Others are not held up.
    let (status, _) = image.get(image.api, "/images/x").expect("an answer");
    assert_eq!(status, 404);
    for stream in &mut held {
        stream.write_all(&body[10..]).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
    let answer = crate::support::upload(image.api, &jpeg(50, 50));
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}
