//! `/api/ops/live`.
use crate::{
    identity::{Issuer, session},
    support::{Gateway, NOWHERE, Stub},
};
use axum::{
    Router,
    body::{Body, BodyDataStream},
    extract::State,
    http::{Request, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse as _,
    routing::get,
};
use futures::StreamExt as _;
use serde_json::{Value, json};
use service::{
    Json, Query,
    testing::{Answer, Process},
};
use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tower::ServiceExt as _;

const LIMIT: Duration = Duration::from_secs(10);

/// What commander has to say: the state, the journal and the alerts.
#[derive(Clone, Default)]
struct Platform {
    present: Arc<Mutex<(u32, Vec<Value>)>>,
    /// None in a commander that knows nothing of alerts.
    alerts: Arc<Mutex<Option<Vec<Value>>>>,
    away: Arc<AtomicBool>,
}

impl Platform {
    fn set(&self, state: u32, journal: &[Value]) {
        *self.present.lock().expect("not poisoned") = (state, journal.to_vec());
    }

    fn tell(&self, alerts: &[Value]) {
        *self.alerts.lock().expect("not poisoned") = Some(alerts.to_vec());
    }

    fn routes(&self) -> Router {
        let changes = async |State(platform): State<Self>,
                             Query(query): Query<HashMap<String, String>>| {
            let asked = Instant::now();
            loop {
                let (state, journal) = platform.present.lock().expect("not poisoned").clone();
                if platform.away.load(Ordering::Relaxed) {
                    return StatusCode::SERVICE_UNAVAILABLE.into_response();
                }
                let alerts = platform.alerts.lock().expect("not poisoned").clone();
                // The outcomes have different lengths.
                let length = json!([journal, alerts]).to_string().len();
                let version = format!("{state}-{length}");
                if version != query["after"] || asked.elapsed() > Duration::from_millis(200) {
                    let state = json!({"n": state});
                    let mut all = json!({"version": version, "state": state, "journal": journal});
                    if let Some(alerts) = alerts {
                        all["alerts"] = alerts.into();
                    }
                    return Json(all).into_response();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        Router::new()
            .route("/ops/changes", get(changes))
            .with_state(self.clone())
    }

    /// Commander, auth, and a gateway before them.
    async fn start(&self) -> (Stub, Stub, Gateway) {
        let commander = Stub::start("commander", self.routes()).await;
        let auth = Stub::start("auth", Issuer::new().router()).await;
        let settings = ["--max-in-flight=1"];
        let urls = [("commander", commander.url.as_str()), ("auth", &auth.url)];
        let gateway = Gateway::new(&urls, &settings);
        (commander, auth, gateway)
    }
}

/// One who watches.
struct Viewer {
    body: BodyDataStream,
    text: String,
}

impl Viewer {
    async fn of(gateway: &Gateway) -> Self {
        let (status, viewer) = Self::attempt(gateway).await;
        assert_eq!(status, StatusCode::OK);
        viewer
    }

    async fn attempt(gateway: &Gateway) -> (StatusCode, Self) {
        Self::with(gateway, &session("operator", 600)).await
    }

    async fn with(gateway: &Gateway, session: &str) -> (StatusCode, Self) {
        let request = Request::get("/api/ops/live").header("host", "test");
        let request = request.header("authorization", session);
        let request = request.body(Body::empty()).expect("a request");
        let answer = gateway.router.clone().oneshot(request).await;
        let answer = answer.expect("routers never fail");
        let status = answer.status();
        if status == StatusCode::OK {
            assert_eq!(answer.headers()[CONTENT_TYPE], "text/event-stream");
            assert_eq!(answer.headers()["cache-control"], "no-cache");
        }
        let body = answer.into_body().into_data_stream();
        let text = String::new();
        (status, Self { body, text })
    }

    /// The next event; none when the stream ends.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().to_owned()
                };
                let (kind, data) = (field("event: "), field("data: "));
                self.text = rest.to_owned();
                return Some((kind, serde_json::from_str(&data).expect("JSON")));
            }
            let chunk = timeout(LIMIT, self.body.next()).await.expect("an event")?;
            let chunk = chunk.expect("the stream is whole");
            self.text += std::str::from_utf8(&chunk).expect("UTF-8");
        }
    }

    /// The next event that isn't the same state once more.
    async fn news(&mut self, known: u32) -> (String, Value) {
        loop {
            let (kind, data) = self.next().await.expect("it goes on");
            if (kind.as_str(), &data) != ("state", &json!({"n": known})) {
                return (kind, data);
            }
        }
    }
}

/// An operator's attempt that is refused.
async fn look(gateway: &Gateway) -> Answer {
    let who = session("operator", 600);
    let headers = [("authorization", who.as_str())];
    gateway.call_with("GET", "/api/ops/live", &headers).await
}

#[tokio::test]
async fn only_operators_watch_and_only_as_long_as_their_session_lasts() {
    let (_commander, _auth, gateway) = Platform::default().start().await;
    gateway
        .get("/api/ops/live")
        .await
        .expect_problem(401, "unauthorized");
    let (status, _) = Viewer::with(&gateway, &session("user", 600)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, mut viewer) = Viewer::with(&gateway, &session("operator", 2)).await;
    assert_eq!(status, StatusCode::OK);
    let started = Instant::now();
    while viewer.next().await.is_some() {
        assert!(started.elapsed() < LIMIT, "it goes on and on");
    }
}

#[tokio::test]
async fn viewers_see_the_state_at_once_then_what_changes() {
    let platform = Platform::default();
    let old = json!({"id": "a", "outcome": "done"});
    platform.set(1, std::slice::from_ref(&old));
    let (_commander, _auth, gateway) = platform.start().await;
    let mut viewer = Viewer::of(&gateway).await;
    assert_eq!(
        viewer.next().await,
        Some(("state".to_owned(), json!({"n": 1})))
    );
    // Without a change it comes again, and what was in the journal before is no news.
    assert_eq!(
        viewer.next().await,
        Some(("state".to_owned(), json!({"n": 1})))
    );
    let [b, c] = ["b", "c"].map(|id| json!({"id": id, "outcome": "started"}));
    platform.set(2, &[c.clone(), b.clone(), old.clone()]);
    assert_eq!(viewer.news(1).await, ("state".to_owned(), json!({"n": 2})));
    assert_eq!(viewer.news(2).await, ("journal".to_owned(), b.clone()));
    assert_eq!(viewer.news(2).await, ("journal".to_owned(), c.clone()));
    let healed = json!({"id": "b", "outcome": "done"});
    platform.set(2, &[c, healed.clone(), old]);
    assert_eq!(viewer.news(2).await, ("journal".to_owned(), healed));
    // Somebody who comes now hears of what comes now.
    let mut late = Viewer::of(&gateway).await;
    assert_eq!(
        late.next().await,
        Some(("state".to_owned(), json!({"n": 2})))
    );
    platform.set(3, &[]);
    assert_eq!(late.news(2).await, ("state".to_owned(), json!({"n": 3})));
}

#[tokio::test]
async fn viewers_see_alerts_fire_and_clear() {
    let platform = Platform::default();
    let (_commander, _auth, gateway) = platform.start().await;
    let mut viewer = Viewer::of(&gateway).await;
    assert_eq!(viewer.next().await.expect("a state").0, "state");
    let [a, b] = ["a", "b"].map(|id| json!({"id": id, "state": "firing"}));
    platform.tell(&[b.clone(), a.clone()]);
    assert_eq!(viewer.news(0).await, ("alert".to_owned(), a.clone()));
    assert_eq!(viewer.news(0).await, ("alert".to_owned(), b.clone()));
    let cleared = json!({"id": "a", "state": "resolved"});
    platform.tell(&[cleared.clone(), b]);
    assert_eq!(viewer.news(0).await, ("alert".to_owned(), cleared));
    // What was told before is no news for somebody who comes now.
    let mut late = Viewer::of(&gateway).await;
    late.next().await.expect("a state");
    platform.set(1, &[]);
    assert_eq!(late.news(0).await, ("state".to_owned(), json!({"n": 1})));
}

#[tokio::test]
async fn commander_is_asked_once_for_all_and_not_for_nobody() {
    let platform = Platform::default();
    let (commander, _auth, gateway) = platform.start().await;
    let started = Instant::now();
    let mut viewers = Vec::new();
    for _ in 0..20 {
        viewers.push(Viewer::of(&gateway).await);
    }
    for viewer in &mut viewers {
        for _ in 0..3 {
            viewer.next().await.expect("it goes on");
        }
    }
    let most = 2 + started.elapsed().as_millis() as usize / 200;
    let asked = commander.seen().len();
    assert!(
        asked <= most,
        "asked {asked} times, expected at most {most}"
    );
    // They don't count as requests passed on, of which there may be one here.
    gateway.get("/api/ops/state").await.expect(200);
    drop(viewers);
    let quiet = Instant::now();
    loop {
        let before = commander.seen().len();
        tokio::time::sleep(Duration::from_millis(600)).await;
        if commander.seen().len() == before {
            break;
        }
        assert!(quiet.elapsed() < LIMIT, "it asks on and on");
    }
    let mut again = Viewer::of(&gateway).await;
    again.next().await.expect("it goes on");
}

#[tokio::test]
async fn viewers_are_counted() {
    let (_commander, _auth, gateway) = Platform::default().start().await;
    let mut viewers = Vec::new();
    for _ in 0..64 {
        viewers.push(Viewer::of(&gateway).await);
    }
    let (status, _) = Viewer::attempt(&gateway).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let refused = look(&gateway).await;
    refused.expect_problem(503, "too_many_viewers");
    assert_eq!(refused.headers["retry-after"], "5");
    drop(viewers.pop());
    Viewer::of(&gateway).await;
}

#[tokio::test]
async fn without_commander_there_is_no_stream() {
    let auth = Stub::start("auth", Issuer::new().router()).await;
    let gateway = Gateway::new(&[("commander", NOWHERE), ("auth", &auth.url)], &[]);
    let started = Instant::now();
    let refused = look(&gateway).await;
    refused.expect_problem(503, "unavailable");
    assert!(started.elapsed() < LIMIT);
}

#[tokio::test]
async fn a_stream_survives_commander_s_absence() {
    let platform = Platform::default();
    let (commander, _auth, gateway) = platform.start().await;
    let mut viewer = Viewer::of(&gateway).await;
    viewer.next().await.expect("a state");
    platform.away.store(true, Ordering::Relaxed);
    let (before, started) = (commander.seen().len(), Instant::now());
    while commander.seen().len() < before + 3 {
        assert!(started.elapsed() < LIMIT, "it has given up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    platform.set(7, &[]);
    platform.away.store(false, Ordering::Relaxed);
    assert_eq!(viewer.news(0).await, ("state".to_owned(), json!({"n": 7})));
}

#[tokio::test]
async fn streams_end_when_the_gateway_stops() {
    let (_commander, _auth, gateway) = Platform::default().start().await;
    let mut viewer = Viewer::of(&gateway).await;
    viewer.next().await.expect("a state");
    gateway.shutdown.cancel();
    while viewer.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_does_not_hold_up_a_stop() {
    let commander = Stub::start("commander", Platform::default().routes()).await;
    let auth = Stub::start("auth", Issuer::new().router()).await;
    let settings = [
        ("COMMANDER_URLS", commander.url.as_str()),
        ("AUTH_URLS", &auth.url),
    ];
    let gateway = Process::start(env!("CARGO_BIN_EXE_gateway"), &settings).ready();
    let mut stream = TcpStream::connect(gateway.api).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    let who = session("operator", 600);
    let head = format!("GET /api/ops/live HTTP/1.1\r\nhost: test\r\nauthorization: {who}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut seen = String::new();
    while !seen.contains("event: state") {
        let mut part = [0; 1000];
        let n = stream.read(&mut part).expect("a part");
        assert_ne!(n, 0, "{seen}");
        seen += std::str::from_utf8(&part[..n]).expect("ASCII");
    }
    let stopped = Instant::now();
    gateway.terminate();
    let (status, printed) = gateway.ended();
    assert_eq!(status.code(), Some(0), "{printed}");
    assert!(stopped.elapsed() < LIMIT, "the stream held it up");
}
