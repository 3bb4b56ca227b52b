//! The web console: a shell, a stylesheet and modules, as they are in this folder, inside the binary.
use crate::App;
use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const MANIFEST: &str = "application/manifest+json";

/// Path, type, content.
const ASSETS: [(&str, &str, &str); 20] = [
    ("/", HTML, include_str!("index.html")),
    ("/console/style.css", CSS, include_str!("style.css")),
    ("/console/main.js", SCRIPT, include_str!("main.js")),
    ("/console/dom.js", SCRIPT, include_str!("dom.js")),
    ("/console/api.js", SCRIPT, include_str!("api.js")),
    ("/console/parts.js", SCRIPT, include_str!("parts.js")),
    ("/console/shop.js", SCRIPT, include_str!("shop.js")),
    ("/console/account.js", SCRIPT, include_str!("account.js")),
    ("/console/ops.js", SCRIPT, include_str!("ops.js")),
    ("/console/plot.js", SCRIPT, include_str!("plot.js")),
    ("/console/jobs.js", SCRIPT, include_str!("jobs.js")),
    ("/console/drills.js", SCRIPT, include_str!("drills.js")),
    (
        "/console/manifest.json",
        MANIFEST,
        include_str!("manifest.json"),
    ),
    ("/console/icon.svg", SVG, include_str!("icon.svg")),
    ("/console/lantern.svg", SVG, include_str!("lantern.svg")),
    ("/console/jacket.svg", SVG, include_str!("jacket.svg")),
    ("/console/barometer.svg", SVG, include_str!("barometer.svg")),
    ("/console/rope.svg", SVG, include_str!("rope.svg")),
    ("/console/mug.svg", SVG, include_str!("mug.svg")),
    ("/console/parcel.svg", SVG, include_str!("parcel.svg")),
];

/// The routes of all assets, and `/favicon.ico` for those who ask for it unasked.
pub fn routes() -> Router<App> {
    let (_, kind, icon) = ASSETS[13];
    let all = ASSETS.into_iter().chain([("/favicon.ico", kind, icon)]);
    all.fold(Router::new(), |router, (path, kind, content)| {
        let tag = tag(content);
        let serve = async move |headers: HeaderMap| answer(&headers, kind, content, &tag);
        router.route(path, get(serve))
    })
}

/// Names the content, so that a browser asks for it once and from then on only whether it changed.
fn tag(content: &str) -> HeaderValue {
    let hash = Sha256::digest(content);
    let mut tag = String::from("\"");
    for byte in &hash[..12] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    HeaderValue::try_from(tag).expect("hex is visible ASCII")
}

fn answer(
    request: &HeaderMap,
    kind: &'static str,
    content: &'static str,
    tag: &HeaderValue,
) -> Response {
    // Kept, but never used without asking: after an update all modules are of one version.
    let headers = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if knows(request, tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
    (headers, kind, content).into_response()
}

/// `If-None-Match` (RFC 9110 section 13.1.2), which compares weakly.
fn knows(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = request.get_all(header::IF_NONE_MATCH).iter();
    lists.filter_map(|list| list.to_str().ok()).any(|list| {
        let mut tags = list.split(',').map(str::trim);
        tags.any(|known| known == "*" || tag == known.trim_start_matches("W/"))
    })
}
