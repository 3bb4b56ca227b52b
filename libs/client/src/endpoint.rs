//! One replica: its connections, its calls in flight, its health.
use crate::{
    Settings,
    breaker::{Breaker, Rules, State, Ticket, Verdict},
    ejection::Ejections,
    pool::Pool,
    room::Room,
};
use http::HeaderValue;
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

pub(crate) struct Endpoint {
    upstream: &'static str,
    pub(crate) address: SocketAddr,
    /// For the `Host` header.
    pub(crate) authority: HeaderValue,
    pub(crate) pool: Arc<Pool>,
    max_in_flight: usize,
    in_flight: AtomicUsize,
    health: Mutex<Health>,
    ejections: Arc<Ejections>,
}

struct Health {
    breaker: Breaker,
    /// It answered 503 and asked to be left alone until then.
    sheds_until: Option<Instant>,
    last_good: Option<Instant>,
}

/// How long a good answer says something about now.
const FRESH: Duration = Duration::from_secs(1);

impl Health {
    fn sheds(&self, now: Instant) -> bool {
        self.sheds_until.is_some_and(|until| now < until)
    }
}

impl Endpoint {
    pub(crate) fn new(
        upstream: &'static str,
        address: SocketAddr,
        authority: HeaderValue,
        settings: &Settings,
        ejections: Arc<Ejections>,
        room: Arc<Room>,
    ) -> Arc<Self> {
        let breaker = Breaker::new(Rules::from(settings), Instant::now());
        Arc::new(Self {
            upstream,
            address,
            authority,
            pool: Pool::new(address, settings, room),
            max_in_flight: settings.call_max_connections,
            in_flight: AtomicUsize::new(0),
            health: Mutex::new(Health {
                breaker,
                sheds_until: None,
                last_good: None,
            }),
            ejections,
        })
    }

    /// Can it take a call now?
    pub(crate) fn is_available(&self, now: Instant) -> bool {
        self.has_room() && self.health().breaker.admits(now)
    }

    /// Can it take the call of somebody with nowhere else to go?
    pub(crate) fn may_knock(&self, now: Instant) -> bool {
        self.has_room() && self.health().breaker.may_knock(now)
    }

    /// Has it just shown that it can serve?
    pub(crate) fn is_fine(&self, now: Instant) -> bool {
        let health = self.health();
        let good = |at: Instant| now.saturating_duration_since(at) < FRESH;
        !health.sheds(now) && health.last_good.is_some_and(good)
    }

    pub(crate) fn is_shedding(&self, now: Instant) -> bool {
        self.health().sheds(now)
    }

    pub(crate) fn shed_for(&self, pause: Duration, now: Instant) {
        self.health().sheds_until = Some(now + pause);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    fn has_room(&self) -> bool {
        self.in_flight() < self.max_in_flight
    }

    pub(crate) fn state(&self, now: Instant) -> State {
        self.health().breaker.state(now)
    }

    pub(crate) fn closed_for(&self, now: Instant) -> Duration {
        self.health().breaker.closed_for(now)
    }

    /// Takes part of it for one call, if the breaker allows.
    pub(crate) fn lease(self: &Arc<Self>, now: Instant) -> Option<Lease> {
        self.lease_with(|breaker| breaker.admit(now))
    }

    /// Takes part of it, if need be although its breaker is open.
    pub(crate) fn knock(self: &Arc<Self>, now: Instant) -> Option<Lease> {
        self.lease_with(|breaker| breaker.knock(now))
    }

    fn lease_with(
        self: &Arc<Self>,
        ticket: impl FnOnce(&mut Breaker) -> Option<Ticket>,
    ) -> Option<Lease> {
        let ticket = ticket(&mut self.health().breaker)?;
        let lease = Lease {
            endpoint: self.clone(),
            ticket,
            verdict: Verdict::Unknown,
        };
        // The lease gives back both, so count before looking whether there is room.
        let before = self.in_flight.fetch_add(1, Relaxed);
        (before < self.max_in_flight).then_some(lease)
    }

    fn record(&self, ticket: &Ticket, verdict: Verdict) {
        let now = Instant::now();
        let mut health = self.health();
        let before = health.breaker.state(now);
        health.breaker.record(ticket, verdict, now, &self.ejections);
        let after = health.breaker.state(now);
        if verdict == Verdict::Good && !health.sheds(now) {
            health.last_good = Some(now);
        }
        drop(health);
        let (upstream, endpoint) = (self.upstream, self.address);
        match (before, after, verdict) {
            (State::Closed, State::Open, Verdict::Bad(fault)) => {
                let fault = fault.as_str();
                tracing::warn!(upstream, %endpoint, fault, "circuit breaker opened");
            }
            (State::HalfOpen, State::Closed, Verdict::Good) => {
                tracing::info!(upstream, %endpoint, "circuit breaker closed");
            }
            _ => {}
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call's share of an endpoint. Dropping it, also when the call is cancelled, gives the share
/// back and tells the breaker what came of it.
pub(crate) struct Lease {
    pub(crate) endpoint: Arc<Endpoint>,
    ticket: Ticket,
    pub(crate) verdict: Verdict,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Relaxed);
        self.endpoint.record(&self.ticket, self.verdict);
    }
}
