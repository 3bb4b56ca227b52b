//! The web console: a shell, a stylesheet and modules, as they are in this folder, inside the binary.
use crate::App;
use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{Arc, OnceLock},
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const MANIFEST: &str = "application/manifest+json";

/// Path, type, content.
const ASSETS: [(&str, &str, &str); 22] = [
    ("/", HTML, include_str!("index.html")),
    ("/console/style.css", CSS, include_str!("style.css")),
    ("/console/main.js", SCRIPT, include_str!("main.js")),
    ("/console/dom.js", SCRIPT, include_str!("dom.js")),
    ("/console/api.js", SCRIPT, include_str!("api.js")),
    ("/console/parts.js", SCRIPT, include_str!("parts.js")),
    ("/console/shop.js", SCRIPT, include_str!("shop.js")),
    ("/console/account.js", SCRIPT, include_str!("account.js")),
    ("/console/ops.js", SCRIPT, include_str!("ops.js")),
    ("/console/chaos.js", SCRIPT, include_str!("chaos.js")),
    ("/console/alerts.js", SCRIPT, include_str!("alerts.js")),
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
    let icon = |(path, ..): &(&str, &str, &str)| *path == "/console/icon.svg";
    let icon = ASSETS.into_iter().find(icon);
    let favicon = icon.map(|(_, kind, content)| ("/favicon.ico", kind, content));
    let all = ASSETS.into_iter().chain(favicon);
    all.fold(Router::new(), |router, (path, kind, content)| {
        let asset = Arc::new(Asset::new(kind, content));
        let serve = async move |headers: HeaderMap| asset.answer(&headers);
        router.route(path, get(serve))
    })
}

/// One file, as it is and compressed.
struct Asset {
    kind: &'static str,
    content: &'static str,
    tag: HeaderValue,
    /// Made when the first browser asks for it.
    gzip: OnceLock<Bytes>,
}

impl Asset {
    fn new(kind: &'static str, content: &'static str) -> Self {
        Self {
            kind,
            content,
            tag: tag(content),
            gzip: OnceLock::new(),
        }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        // Kept, but never used without asking: after an update all modules are of one version.
        let headers = [
            (header::ETAG, self.tag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
        ];
        if knows(request, &self.tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(self.kind))];
        if !takes_gzip(request) {
            return (headers, kind, self.content).into_response();
        }
        let gzip = self.gzip.get_or_init(|| gzip(self.content)).clone();
        let coding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        (headers, kind, coding, gzip).into_response()
    }
}

fn gzip(content: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(content.as_bytes());
    let done = written.and_then(|()| encoder.finish());
    done.expect("writing to memory never fails").into()
}

/// `Accept-Encoding` (RFC 9110 section 12.5.3) names gzip and does not rule it out.
fn takes_gzip(request: &HeaderMap) -> bool {
    let lists = request.get_all(header::ACCEPT_ENCODING).iter();
    lists.filter_map(|list| list.to_str().ok()).any(|list| {
        list.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight = weight
                .trim()
                .strip_prefix("q=")
                .and_then(|q| q.parse().ok());
            name.trim().eq_ignore_ascii_case("gzip") && weight.is_some_and(|q: f32| q > 0.0)
        })
    })
}

/// Names the content, so that a browser asks for it once and from then on only whether it changed. Weak,
/// since it names the compressed form too.
fn tag(content: &str) -> HeaderValue {
    let hash = Sha256::digest(content);
    let mut tag = String::from("W/\"");
    for byte in &hash[..12] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    HeaderValue::try_from(tag).expect("hex is visible ASCII")
}

/// `If-None-Match` (RFC 9110 section 13.1.2), which compares weakly.
fn knows(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = request.get_all(header::IF_NONE_MATCH).iter();
    let tag = tag.to_str().unwrap_or_default().trim_start_matches("W/");
    lists.filter_map(|list| list.to_str().ok()).any(|list| {
        let mut tags = list.split(',').map(str::trim);
        tags.any(|known| known == "*" || tag == known.trim_start_matches("W/"))
    })
}
