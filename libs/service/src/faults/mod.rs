//! Fault points: what breaks in this process on purpose, for a time.
//!
//! Whoever has the token sets them on the ops listener. Each ends by itself, by this process's own clock.
//! While there is none, a request pays for one load of an atomic.
mod burn;
mod metrics;
mod requests;
mod routes;
mod spec;

pub(crate) use routes::routes;
pub use spec::{Kind, Mode, Spec};

use crate::{Config, Problem, config::Secret};
use axum::http::StatusCode;
use burn::Burn;
use chrono::{DateTime, Utc};
use gate::{Gate, Held};
use prometheus_client::registry::Registry;
use serde::Serialize;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Nobody needs more of them at once.
const AT_ONCE: usize = 64;

/// The fault points of a process. Cheap to clone; make one at the start, and hand it to the
/// [`Server`](crate::Server) and what it has to break.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Inner>>);

struct Inner {
    token: Secret,
    /// May anything that acts on requests be active?
    requests: AtomicBool,
    active: Mutex<Vec<Active>>,
    changed: watch::Sender<()>,
    database: Gate,
    queue: Gate,
    /// What this process has besides what every process has.
    offers: Mutex<Vec<Kind>>,
}

struct Active {
    id: Uuid,
    spec: Spec,
    until: Instant,
    ends_at: DateTime<Utc>,
    _effect: Effect,
    /// Ends it when its time is over.
    _timer: AbortOnDropHandle<()>,
}

/// What ends with a fault.
#[expect(dead_code, reason = "they end by being dropped")]
enum Effect {
    /// It acts where it is asked for.
    None,
    Held(Held),
    Burn(Burn),
}

/// A fault that is active, as shown.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Fault {
    pub id: Uuid,
    #[serde(flatten)]
    pub spec: Spec,
    /// When it is over.
    pub until: DateTime<Utc>,
    pub remaining_seconds: f64,
}

impl Faults {
    /// Those that the settings allow: none without `CHAOS_ENABLED` or without a token.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let token = config.chaos_token().filter(|_| config.chaos());
        Self(token.map(|token| Arc::new(Inner::new(token.clone()))))
    }

    /// The gate before this process's database, which it has from now on.
    #[must_use]
    pub fn database(&self) -> Gate {
        self.offer(Kind::Database);
        let inner = self.0.as_ref();
        inner.map(|i| i.database.clone()).unwrap_or_default()
    }

    /// The gate before this process's queue, which it has from now on.
    #[must_use]
    pub fn queue(&self) -> Gate {
        self.offer(Kind::Queue);
        let inner = self.0.as_ref();
        inner.map(|i| i.queue.clone()).unwrap_or_default()
    }

    /// From now on this process can break in this way, too.
    pub fn offer(&self, kind: Kind) {
        if let Some(inner) = &self.0 {
            inner.offers().push(kind);
        }
    }

    /// Is a fault of this kind active?
    #[must_use]
    pub fn is_active(&self, kind: Kind) -> bool {
        let inner = self.0.as_ref();
        inner.is_some_and(|i| i.present().iter().any(|a| a.spec.fault == kind))
    }

    /// Could something have to be done to a request?
    pub(crate) fn on_requests(&self) -> bool {
        let inner = self.0.as_ref();
        inner.is_some_and(|inner| inner.requests.load(Relaxed))
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        if let Some(inner) = &self.0 {
            metrics::register(inner.clone(), registry);
        }
    }
}

impl Inner {
    fn new(token: Secret) -> Self {
        Self {
            token,
            requests: AtomicBool::new(false),
            active: Mutex::default(),
            changed: watch::Sender::new(()),
            database: Gate::default(),
            queue: Gate::default(),
            offers: Mutex::default(),
        }
    }

    /// Begins a fault.
    ///
    /// # Errors
    /// When it isn't valid, or this process can't break in this way.
    fn add(self: &Arc<Self>, spec: Spec) -> Result<Fault, Problem> {
        let spec = spec.checked()?;
        if spec.fault.is_offered() && !self.offers().contains(&spec.fault) {
            return Err(not_available());
        }
        let mut active = self.present();
        room_for(&spec, &active)?;
        let time = Duration::from_secs(spec.seconds.into());
        let until = Instant::now() + time;
        let (inner, id) = (Arc::downgrade(self), Uuid::now_v7());
        let timer = tokio::spawn(async move {
            sleep_until(until).await;
            if let Some(inner) = inner.upgrade() {
                inner.remove(|a| a.id == id);
            }
        });
        let added = Active {
            id,
            until,
            ends_at: Utc::now() + time,
            _effect: self.begin(&spec, time),
            _timer: AbortOnDropHandle::new(timer),
            spec,
        };
        tracing::warn!(fault = ?added.spec, %id, "a fault begins on purpose");
        let shown = added.show();
        active.push(added);
        self.note(&active);
        Ok(shown)
    }

    fn begin(&self, spec: &Spec, time: Duration) -> Effect {
        match spec.fault {
            Kind::Database => Effect::Held(self.database.shut(spec.gate_mode(), time)),
            Kind::Queue => Effect::Held(self.queue.shut(spec.gate_mode(), time)),
            Kind::Cpu => Effect::Burn(Burn::cpu(spec.threads.unwrap_or(1), time)),
            Kind::Memory => Effect::Burn(Burn::memory(spec.megabytes.unwrap_or(1), time)),
            Kind::Crash => {
                burn::crash();
                Effect::None
            }
            Kind::Latency | Kind::Error | Kind::Hang | Kind::Unready | Kind::ExpiredKey => {
                Effect::None
            }
        }
    }

    fn list(&self) -> Vec<Fault> {
        self.present().iter().map(Active::show).collect()
    }

    /// Ends these faults; true when there were any.
    fn remove(&self, which: impl Fn(&Active) -> bool) -> bool {
        let mut active = self.active();
        let (ended, kept): (Vec<_>, Vec<_>) = active.drain(..).partition(which);
        *active = kept;
        self.note(&active);
        for ended in &ended {
            tracing::warn!(fault = ?ended.spec, id = %ended.id, "a fault ends");
        }
        !ended.is_empty()
    }

    /// Waits so long, but not longer than this fault is active.
    async fn wait(&self, id: Uuid, time: Duration) {
        let until = Instant::now() + time;
        let mut changed = self.changed.subscribe();
        while self.present().iter().any(|a| a.id == id)
            && timeout_at(until, changed.changed()).await.is_ok()
        {}
    }

    /// Those whose time is not over, even if nobody has had the time to end the others.
    fn present(&self) -> MutexGuard<'_, Vec<Active>> {
        let mut active = self.active();
        let now = Instant::now();
        if active.iter().any(|a| a.until <= now) {
            active.retain(|a| a.until > now);
            self.note(&active);
        }
        active
    }

    fn note(&self, active: &[Active]) {
        let requests = active.iter().any(|a| a.spec.fault.is_on_requests());
        self.requests.store(requests, Relaxed);
        self.changed.send_replace(());
    }

    fn active(&self) -> MutexGuard<'_, Vec<Active>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offers(&self) -> MutexGuard<'_, Vec<Kind>> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn show(&self) -> Fault {
        let remaining = self.until.saturating_duration_since(Instant::now());
        Fault {
            id: self.id,
            spec: self.spec.clone(),
            until: self.ends_at,
            remaining_seconds: (remaining.as_secs_f64() * 10.0).round() / 10.0,
        }
    }
}

/// All faults of a process together stay within what one may do.
fn room_for(spec: &Spec, active: &[Active]) -> Result<(), Problem> {
    if active.len() >= AT_ONCE {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "too_many_faults",
            "There are too many faults already",
        ));
    }
    let sum = |amount: fn(&Spec) -> Option<u32>| -> u32 {
        active.iter().filter_map(|a| amount(&a.spec)).sum()
    };
    for (pointer, asked, taken, most) in [
        (
            "/threads",
            spec.threads,
            sum(|s| s.threads),
            spec::MOST_THREADS,
        ),
        (
            "/megabytes",
            spec.megabytes,
            sum(|s| s.megabytes),
            spec::MOST_MEGABYTES,
        ),
    ] {
        if asked.is_some_and(|asked| asked + taken > most) {
            let detail = format!("at most {most} together, and {taken} are taken");
            return Err(Problem::invalid(pointer, detail));
        }
    }
    Ok(())
}

fn not_available() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "fault_not_available",
        "This process can't break in this way",
    )
}
