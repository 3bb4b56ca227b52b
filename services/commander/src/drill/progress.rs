//! How far a run is: what happened when, for whoever watches it and for its report.
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::{sync::watch, time::Instant};

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Is everything well to begin with?
    #[default]
    Steady,
    /// It is broken.
    Fault,
    /// It isn't broken any more.
    Recovery,
    Audit,
    Over,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Event {
    /// Seconds after the load began.
    pub at: f64,
    pub what: String,
}

/// What has happened so far.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Story {
    pub phase: Phase,
    pub timeline: Vec<Event>,
}

/// Written by the run, read by others.
#[derive(Clone, Debug)]
pub struct Progress {
    story: Arc<Mutex<Story>>,
    start: Arc<Mutex<Instant>>,
    changed: watch::Sender<()>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            story: Arc::default(),
            start: Arc::new(Mutex::new(Instant::now())),
            changed: watch::Sender::new(()),
        }
    }
}

impl Progress {
    /// From here on time counts.
    pub fn start(&self, at: Instant) {
        *self.start.lock().expect("nobody panics with it") = at;
    }

    /// Seconds since then.
    pub fn now(&self) -> f64 {
        let start = *self.start.lock().expect("nobody panics with it");
        start.elapsed().as_secs_f64()
    }

    pub fn enter(&self, phase: Phase) {
        self.lock().phase = phase;
        self.changed.send_replace(());
    }

    pub fn say(&self, what: impl Into<String>) {
        let (at, what) = (self.now(), what.into());
        self.lock().timeline.push(Event { at, what });
        self.changed.send_replace(());
    }

    /// All so far.
    pub fn story(&self) -> Story {
        self.lock().clone()
    }

    /// Tells of each change.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Story> {
        self.story.lock().expect("nobody panics with it")
    }
}
