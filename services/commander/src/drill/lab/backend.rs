//! Backends that count who comes, and have the fault.
use super::experiment::{Experiment, Fault};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use client::Urls;
use rand::RngExt as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// All of one measurement; they end when it is dropped.
pub struct Backends {
    urls: Vec<String>,
    attempts: Arc<AtomicU64>,
    _servers: Vec<AbortOnDropHandle<()>>,
}

#[derive(Clone)]
struct Backend {
    attempts: Arc<AtomicU64>,
    slots: Arc<Semaphore>,
    work: Duration,
    fault: Fault,
}

impl Backends {
    pub async fn start(experiment: &Experiment) -> anyhow::Result<Self> {
        let mut backends = Self {
            urls: Vec::new(),
            attempts: Arc::default(),
            _servers: Vec::new(),
        };
        for n in 0..experiment.backends {
            let fault = if n < experiment.hit {
                experiment.fault
            } else {
                Fault::default()
            };
            let backend = Backend {
                attempts: backends.attempts.clone(),
                slots: Arc::new(Semaphore::new(experiment.slots)),
                work: Duration::from_millis(experiment.work_ms),
                fault,
            };
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            backends
                .urls
                .push(format!("http://{}", listener.local_addr()?));
            let router = Router::new().route("/work", get(work)).with_state(backend);
            let server = tokio::spawn(async move {
                // It runs until it is dropped.
                let _ = axum::serve(listener, router).await;
            });
            backends._servers.push(AbortOnDropHandle::new(server));
        }
        Ok(backends)
    }

    pub fn urls(&self) -> Urls {
        self.urls.join(",").parse().expect("URLs of listeners")
    }

    pub fn attempts(&self) -> u64 {
        self.attempts.load(Ordering::Relaxed)
    }
}

async fn work(State(backend): State<Backend>) -> StatusCode {
    backend.attempts.fetch_add(1, Ordering::Relaxed);
    let slot = backend.slots.acquire().await;
    let Ok(_slot) = slot else {
        return StatusCode::SERVICE_UNAVAILABLE;
    };
    if rand::rng().random_range(0..100) < backend.fault.error_percent {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    sleep(backend.work + Duration::from_millis(backend.fault.latency_ms)).await;
    StatusCode::OK
}
