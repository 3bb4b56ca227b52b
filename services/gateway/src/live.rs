//! `/api/ops/live`: what commander sees, asked once for all who watch and not at all when nobody does.
use crate::App;
use axum::http::StatusCode;
use axum::response::{
    IntoResponse as _, Response, Sse,
    sse::{Event, KeepAlive},
};
use chrono::Utc;
use futures::{Stream, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use service::{Problem, Shutdown};
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until, timeout},
};

/// Streams at once from one replica.
const VIEWERS: usize = 64;
/// How long the first one waits for commander.
const FIRST: Duration = Duration::from_secs(3);
/// Between two tries while commander is away.
const AWAY: Duration = Duration::from_secs(1);
/// Without a change the state comes this often; commander answers twice meanwhile.
const EVERY: Duration = Duration::from_millis(900);
/// A silent stream says that it lives this often.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What commander said last, and who wants to know.
pub struct Live {
    viewers: Arc<Semaphore>,
    /// None while nobody watches, until commander has answered.
    latest: watch::Sender<Option<Arc<Seen>>>,
    wanted: Notify,
    ended: Shutdown,
}

/// One answer of commander; its parts are passed on as they are.
#[derive(Debug, Deserialize)]
struct Seen {
    version: String,
    state: Box<RawValue>,
    /// Newest first.
    journal: Vec<Box<RawValue>>,
    /// The latest change first; a commander of before has none.
    #[serde(default)]
    alerts: Vec<Box<RawValue>>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            latest: watch::Sender::new(None),
            wanted: Notify::new(),
            ended: Shutdown::new(),
        }
    }
}

/// Asks commander while somebody watches; when `shutdown` begins, ends all streams and returns.
pub async fn run(app: &App, shutdown: &Shutdown) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = ask(app) => {}
    }
    app.live.ended.cancel();
}

async fn ask(app: &App) {
    let live = &app.live;
    loop {
        live.wanted.notified().await;
        let (mut version, mut told) = (String::new(), None::<Instant>);
        while live.latest.receiver_count() > 0 {
            // Commander answers as soon as something changes, and after half a second if nothing does.
            let path = format!("/ops/changes?after={version}");
            match app.commander.get::<Seen>(&path).await {
                Ok(seen)
                    if seen.version == version && told.is_some_and(|t| t.elapsed() < EVERY) => {}
                Ok(seen) => {
                    version.clone_from(&seen.version);
                    told = Some(Instant::now());
                    live.latest.send_replace(Some(Arc::new(seen)));
                }
                Err(_) => tokio::time::sleep(AWAY).await,
            }
        }
        live.latest.send_replace(None);
    }
}

/// A stream that begins with the present state and ends at a time (Unix, seconds), with the viewer's token.
///
/// # Errors
/// 503 when too many watch already, or commander is away.
pub async fn stream(app: &App, until: i64) -> Result<Response, Problem> {
    let live = app.live.clone();
    let permit = live.viewers.clone().try_acquire_owned();
    let permit = permit.map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_viewers",
            "Too many watch already",
        )
        .retry_after(5)
    })?;
    let mut latest = live.latest.subscribe();
    live.wanted.notify_one();
    let first = timeout(FIRST, latest.wait_for(Option::is_some)).await;
    first
        .map_err(|late| Problem::unavailable("commander", &late))?
        .ok();
    latest.mark_changed();
    let viewer = Viewer {
        live,
        latest,
        seen: None,
        events: VecDeque::new(),
        end: Instant::now() + remaining(until),
        _permit: permit,
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(viewer.events())
        .keep_alive(keep_alive)
        .into_response())
}

/// One stream.
struct Viewer {
    live: Arc<Live>,
    latest: watch::Receiver<Option<Arc<Seen>>>,
    seen: Option<Arc<Seen>>,
    events: VecDeque<Event>,
    end: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Viewer {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut viewer| async {
            while viewer.events.is_empty() {
                tokio::select! {
                    () = viewer.live.ended.cancelled() => return None,
                    () = sleep_until(viewer.end) => return None,
                    changed = viewer.latest.changed() => changed.ok()?,
                }
                viewer.take();
            }
            let event = viewer.events.pop_front()?;
            Some((Ok(event), viewer))
        })
    }

    fn take(&mut self) {
        let Some(latest) = self.latest.borrow_and_update().clone() else {
            return;
        };
        self.events.push_back(event("state", &latest.state));
        if let Some(seen) = &self.seen {
            let journal = news("journal", &seen.journal, &latest.journal);
            let alerts = news("alert", &seen.alerts, &latest.alerts);
            self.events.extend(journal.chain(alerts));
        }
        self.seen = Some(latest);
    }
}

/// What was not told before; an entry that has changed is told again. The newest comes last.
fn news<'a>(
    name: &'a str,
    told: &'a [Box<RawValue>],
    now: &'a [Box<RawValue>],
) -> impl Iterator<Item = Event> + 'a {
    let known = |entry: &RawValue| told.iter().any(|old| old.get() == entry.get());
    let new = now.iter().rev().filter(move |entry| !known(entry));
    new.map(move |entry| event(name, entry))
}

fn remaining(until: i64) -> Duration {
    let seconds = until.saturating_sub(Utc::now().timestamp());
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn event(name: &str, json: &RawValue) -> Event {
    // Data of an event can't hold a bare carriage return; JSON needs none.
    Event::default()
        .event(name)
        .data(json.get().replace('\r', " "))
}
