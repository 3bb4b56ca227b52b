//! The console's files as a browser fetches them. What they do is tested in a browser, with the platform.
use crate::support::Gateway;
use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode},
};
use std::{collections::BTreeMap, io::Read as _};
use tower::ServiceExt as _;

async fn fetch(gateway: &Gateway, path: &str, known: &str) -> (StatusCode, HeaderMap, String) {
    let request = Request::get(path)
        .header("host", "localhost")
        .header("if-none-match", known);
    let request = request.body(Body::empty()).expect("a request");
    let answer = gateway
        .router
        .clone()
        .oneshot(request)
        .await
        .expect("routers never fail");
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("in memory");
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    (head.status, head.headers, text)
}

/// The files that a text names, by their paths.
fn named(text: &str) -> Vec<String> {
    let parts = text.split(['"', '\'', '`']);
    let files = parts.filter_map(|part| {
        let name = part
            .strip_prefix("/console/")
            .or_else(|| part.strip_prefix("./"))?;
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
        (plain && name.contains('.')).then(|| format!("/console/{name}"))
    });
    files.collect()
}

/// Everything that can be reached from the first page.
async fn all(gateway: &Gateway) -> BTreeMap<String, (HeaderMap, String)> {
    let mut found = BTreeMap::new();
    let mut ahead = vec!["/".to_owned()];
    while let Some(path) = ahead.pop() {
        if found.contains_key(&path) {
            continue;
        }
        let (status, headers, text) = fetch(gateway, &path, "\"old\"").await;
        assert_eq!(status, 200, "{path}");
        ahead.extend(named(&text));
        found.insert(path, (headers, text));
    }
    found
}

#[tokio::test]
async fn all_of_it_is_there_with_its_type_and_a_tag() {
    let files = all(&Gateway::new(&[], &[])).await;
    assert!(files.len() > 10, "{:?}", files.keys());
    for (path, (headers, _)) in &files {
        let kind = match path.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("json") => "application/manifest+json",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(headers["content-type"], kind, "{path}");
        assert_eq!(headers["cache-control"], "no-cache", "{path}");
        assert!(
            headers["etag"].to_str().is_ok_and(|tag| tag.len() > 20),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_file_that_is_known_is_not_sent_again() {
    let gateway = Gateway::new(&[], &[]);
    let (_, headers, _) = fetch(&gateway, "/console/main.js", "").await;
    let tag = headers["etag"].to_str().expect("a tag");
    for known in [
        tag.to_owned(),
        tag.trim_start_matches("W/").to_owned(),
        format!("\"other\", {tag}"),
        "*".to_owned(),
    ] {
        let (status, headers, text) = fetch(&gateway, "/console/main.js", &known).await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::NOT_MODIFIED, ""),
            "{known}"
        );
        assert_eq!(headers["etag"], tag);
    }
    let (status, ..) = fetch(&gateway, "/console/style.css", tag).await;
    assert_eq!(status, 200, "the tag of another file");
}

#[tokio::test]
async fn a_browser_that_asks_for_a_favicon_gets_one() {
    let (status, headers, _) = fetch(&Gateway::new(&[], &[]), "/favicon.ico", "").await;
    assert_eq!(status, 200);
    assert_eq!(headers["content-type"], "image/svg+xml");
}

#[tokio::test]
async fn all_of_it_is_light_and_comes_from_here() {
    let files = all(&Gateway::new(&[], &[])).await;
    let weight: usize = files.values().map(|(_, text)| text.len()).sum();
    // Of them the drawings that a name leads to are not found by reading.
    assert!((50_000..125_000).contains(&weight), "{weight} bytes");
    for (path, (_, text)) in &files {
        let foreign = text
            .split(['"', '\'', '('])
            .filter(|part| part.starts_with("http"));
        let foreign: Vec<_> = foreign
            .filter(|url| !url.starts_with("http://www.w3.org/"))
            .collect();
        assert!(foreign.is_empty(), "{path}: {foreign:?}");
    }
}

/// The content security policy would block it, and the page would be broken.
#[tokio::test]
async fn nothing_in_the_page_is_inline() {
    let (_, headers, page) = fetch(&Gateway::new(&[], &[]), "/", "").await;
    let policy = headers["content-security-policy"].to_str().expect("text");
    assert!(
        policy.contains("script-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
        assert!(!page.contains(inline), "{inline}");
    }
    let scripts = page.matches("<script").count();
    assert_eq!(
        scripts,
        page.matches("<script type=\"module\" src=").count()
    );
    for path in [
        "main", "shop", "account", "ops", "jobs", "drills", "parts", "dom", "api", "plot", "chaos",
        "alerts",
    ] {
        let (_, _, script) =
            fetch(&Gateway::new(&[], &[]), &format!("/console/{path}.js"), "").await;
        for sink in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
        ] {
            assert!(!script.contains(sink), "{path}: {sink}");
        }
    }
}

#[tokio::test]
async fn who_can_read_it_gets_it_compressed() {
    let gateway = Gateway::new(&[], &[]);
    let ask = async |path: &str, accept: &str| {
        let request = Request::get(path)
            .header("host", "localhost")
            .header("accept-encoding", accept);
        let request = request.body(Body::empty()).expect("a request");
        let answer = gateway.router.clone().oneshot(request).await;
        let (head, body) = answer.expect("routers never fail").into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("in memory");
        (head.headers, body)
    };
    let (headers, plain) = ask("/console/main.js", "br;q=1, gzip;q=0").await;
    assert!(!headers.contains_key("content-encoding"));
    assert_eq!(headers["vary"], "accept-encoding");
    let (headers, packed) = ask("/console/main.js", "deflate, GZIP;q=0.8").await;
    assert_eq!(headers["content-encoding"], "gzip");
    let mut unpacked = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(packed.as_ref());
    decoder.read_to_end(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain);
    let mut weight = 0;
    for path in all(&gateway).await.into_keys() {
        weight += ask(&path, "gzip").await.1.len();
    }
    assert!((10_000..50_000).contains(&weight), "{weight} bytes");
}
