//! Drives a part of the plan over connections, as a closed or an open loop.
use super::{
    attempt::{Attempt, Route},
    client::{Connection, Peers},
    errands::Errands,
    ledger::Ledger,
    plan::{Plan, Step},
    samples::{Samples, What},
    schedule::{Schedule, ring, too_late},
    tally::{Figures, Tally},
};
use http::HeaderValue;
use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// How requests follow each other.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each connection sends when its last request is answered.
    Closed { connections: usize },
    /// A constant rate, whatever the answers do.
    Open {
        requests_per_second: f64,
        most_connections: usize,
    },
}

/// What all phases of a run share.
#[derive(Debug)]
pub struct Run {
    pub plan: Plan,
    pub ledger: Mutex<Ledger>,
    /// Longest wait for one answer.
    pub patience: Duration,
    /// Ends an open loop before its plan does.
    pub stop: CancellationToken,
    /// Every request of an open loop, where somebody wants to know.
    pub samples: Option<Samples>,
    /// The requests that are neither orders nor reads.
    pub errands: Option<Errands>,
}

/// One phase: a part of the plan, sent one way.
#[derive(Debug)]
pub struct Phase {
    run: Arc<Run>,
    route: Arc<Route>,
    peers: Arc<Peers>,
    tally: Mutex<Tally>,
}

impl Phase {
    /// Sends `steps` of the plan to `peers` and returns when all are answered.
    pub async fn drive(
        run: &Arc<Run>,
        route: &Arc<Route>,
        peers: &Arc<Peers>,
        steps: Range<usize>,
        pace: Pace,
    ) -> Figures {
        let phase = |tally| {
            Arc::new(Self {
                run: run.clone(),
                route: route.clone(),
                peers: peers.clone(),
                tally: Mutex::new(tally),
            })
        };
        let phase = match pace {
            Pace::Closed { connections } => {
                let connections = connect(run, peers, connections.min(steps.len())).await;
                let phase = phase(Tally::new(Instant::now()));
                phase.closed(steps, connections).await;
                phase
            }
            Pace::Open {
                requests_per_second: rate,
                most_connections,
            } => {
                let start = Instant::now();
                let phase = phase(Tally::new(start));
                phase
                    .open(steps, Schedule { start, rate }, most_connections)
                    .await;
                phase
            }
        };
        let now = Instant::now();
        let phase = Arc::into_inner(phase).expect("all requests have ended");
        phase
            .tally
            .into_inner()
            .expect("no task panicked")
            .finish(now)
    }

    async fn closed(self: &Arc<Self>, steps: Range<usize>, connections: Vec<Connection>) {
        let next = Arc::new(AtomicUsize::new(steps.start));
        let mut workers = JoinSet::new();
        for mut connection in connections {
            let (phase, next) = (self.clone(), next.clone());
            workers.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= steps.end {
                        break;
                    }
                    phase.step(&mut connection, n, Instant::now()).await;
                }
            });
        }
        workers.join_all().await;
    }

    async fn open(self: &Arc<Self>, steps: Range<usize>, schedule: Schedule, most: usize) {
        // The connection used last is used next: as few as the load needs stay warm.
        let idle = Arc::new(Mutex::new(Vec::<Connection>::new()));
        let mut requests = JoinSet::new();
        let mut rings = ring(schedule, steps.len());
        let stop = self.run.stop.clone();
        while let Some(Some((place, due))) = stop.run_until_cancelled(rings.recv()).await {
            let n = steps.start + place;
            // When behind, the next one is due at once; requests under way need their turn too.
            tokio::task::yield_now().await;
            while requests.try_join_next().is_some() {}
            let free = requests.len() < most;
            if !free || too_late(due, Instant::now()) {
                self.tally().drop_one();
                if let Some(samples) = &self.run.samples {
                    samples.drop_one();
                }
                continue;
            }
            let (phase, idle) = (self.clone(), idle.clone());
            requests.spawn(async move {
                let kept = lock(&idle).pop();
                let mut connection = kept.unwrap_or_else(|| phase.connection(n));
                phase.step(&mut connection, n, due).await;
                lock(&idle).push(connection);
            });
        }
        requests.join_all().await;
    }

    /// Sends step `n` of the plan, which is due at `due`, and books what came of it.
    async fn step(&self, connection: &mut Connection, n: usize, due: Instant) {
        let number = u32::try_from(n).expect("a plan has fewer than 2^32 steps");
        match self.run.plan.steps[n] {
            Step::Order(product) => {
                let product = &self.route.products[product as usize];
                let key = self.run.plan.key(number);
                let attempt = self.route.order(connection, key, product).await;
                lock(&self.run.ledger).record(number, attempt.fate());
                let now = Instant::now();
                self.sample(What::Order, due, now, &attempt);
                self.tally().order(due, now, &attempt);
            }
            Step::Read(product) => {
                let product = &self.route.products[product as usize];
                let attempt = self.route.read(connection, product).await;
                let now = Instant::now();
                self.sample(What::Read, due, now, &attempt);
                self.tally().read(due, now, &attempt);
            }
            step @ (Step::Image | Step::Job) => {
                let errands = self.run.errands.as_ref();
                let errands = errands.expect("made with the plan that needs them");
                let key = self.run.plan.key(number);
                let request = |host: &HeaderValue| errands.request(step, key, host);
                let attempt = self.route.other(connection, request).await;
                self.sample(What::Other, due, Instant::now(), &attempt);
            }
        }
    }

    fn sample<T>(&self, what: What, due: Instant, now: Instant, attempt: &Attempt<T>) {
        if let Some(samples) = &self.run.samples {
            samples.note(what, due, now, attempt);
        }
    }

    fn connection(&self, turn: usize) -> Connection {
        Connection::new(self.peers.clone(), turn, self.run.patience)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }
}

/// Opens connections before the clock starts. One that fails shows as a broken request later.
async fn connect(run: &Run, peers: &Arc<Peers>, count: usize) -> Vec<Connection> {
    let mut connections = Vec::with_capacity(count);
    for turn in 0..count {
        let mut connection = Connection::new(peers.clone(), turn, run.patience);
        let _ = connection.connect().await;
        connections.push(connection);
    }
    connections
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no task panics while it holds a lock")
}
