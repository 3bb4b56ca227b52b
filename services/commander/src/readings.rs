//! The signals of the last seconds and the depth of the queues, read only while somebody asks.
use crate::traffic::{Scrape, Signals, Traffic};
use client::Upstream;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use telemetry::openmetrics;
use tokio::sync::Mutex;

/// However many ask, the gateways and the worker are asked this often at most.
const FRESH: Duration = Duration::from_millis(900);
/// What the signals are made of.
const WINDOW: Duration = Duration::from_secs(10);
/// Who takes longer isn't waited for.
const TIMEOUT: Duration = Duration::from_millis(300);

/// Jobs of one queue, by state.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Queue {
    name: String,
    #[serde(flatten)]
    depth: Depth,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
struct Depth {
    waiting: u64,
    running: u64,
    retrying: u64,
    dead: u64,
    /// For how long the oldest job that could be running has been due.
    oldest_seconds: f64,
}

/// What was read, shared by all who ask.
#[derive(Clone)]
pub struct Readings {
    gateways: Upstream,
    worker: Upstream,
    last: Arc<Mutex<Last>>,
}

#[derive(Default)]
struct Last {
    at: Option<Instant>,
    /// By address.
    scrapes: HashMap<String, Scrape>,
    steps: VecDeque<Step>,
    signals: Signals,
    queues: Vec<Queue>,
}

/// What happened between two readings.
struct Step {
    at: Instant,
    seconds: f64,
    traffic: Traffic,
}

impl Readings {
    pub fn new(gateways: Upstream, worker: Upstream) -> Self {
        Self {
            gateways,
            worker,
            last: Arc::default(),
        }
    }

    /// As they are now, or were a moment ago. Queues are none while the worker can't be asked.
    pub async fn get(&self) -> (Signals, Vec<Queue>) {
        let mut last = self.last.lock().await;
        if last.at.is_none_or(|at| at.elapsed() > FRESH) {
            let (scrapes, queues) = tokio::join!(self.scrape(), self.queues());
            last.take(Instant::now(), scrapes);
            last.queues = queues;
        }
        (last.signals.clone(), last.queues.clone())
    }

    async fn scrape(&self) -> HashMap<String, Scrape> {
        let answers = self.gateways.probe_all("/metrics", TIMEOUT).await;
        let read = answers.into_iter().filter_map(|(address, answer)| {
            let body = answer.ok()?.into_body();
            let samples = openmetrics::parse(std::str::from_utf8(&body).ok()?).ok()?;
            Some((address, Scrape::read(&samples)))
        });
        read.collect()
    }

    async fn queues(&self) -> Vec<Queue> {
        let asked = self.worker.get::<BTreeMap<String, Depth>>("/queues");
        let answer = tokio::time::timeout(TIMEOUT, asked).await;
        let queues = answer.ok().and_then(Result::ok).unwrap_or_default();
        let queue = |(name, depth)| Queue { name, depth };
        queues.into_iter().map(queue).collect()
    }
}

impl Last {
    fn take(&mut self, now: Instant, scrapes: HashMap<String, Scrape>) {
        if let Some(at) = self.at {
            let mut traffic = Traffic::default();
            for (address, scrape) in &scrapes {
                if let Some(earlier) = self.scrapes.get(address) {
                    traffic.add(&scrape.since(earlier), 1.0);
                }
            }
            let seconds = (now - at).as_secs_f64();
            self.steps.push_back(Step {
                at: now,
                seconds,
                traffic,
            });
        }
        // After a pause in which nobody asked, the time before it says nothing.
        let old = |step: &Step| now - step.at >= WINDOW || step.seconds > WINDOW.as_secs_f64();
        while self.steps.pop_front_if(|step| old(step)).is_some() {}
        let (mut traffic, mut seconds) = (Traffic::default(), 0.0);
        for step in &self.steps {
            traffic.add(&step.traffic, 1.0);
            seconds += step.seconds;
        }
        let in_flight: f64 = scrapes.values().map(|s| s.in_flight).sum();
        let limit: f64 = scrapes.values().map(|s| s.limit).sum();
        self.signals = Signals {
            window_seconds: WINDOW.as_secs(),
            in_flight: in_flight as u64,
            saturation: if limit > 0.0 { in_flight / limit } else { 0.0 },
            ..traffic.signals(seconds)
        };
        self.at = Some(now);
        // A gateway that is away for a moment is compared with what it said before.
        self.scrapes.extend(scrapes);
    }
}
