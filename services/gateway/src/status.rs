//! `/api/status`: is the whole platform up?
use crate::App;
use client::Upstream;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// However many ask, the replicas are probed this often at most.
const FRESH: Duration = Duration::from_millis(250);

/// The state of the platform.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Status {
    /// True once every service has a ready replica.
    ready: bool,
    version: &'static str,
    revision: &'static str,
    /// Of the replica that answers.
    uptime_seconds: u64,
    /// Replicas by service.
    services: BTreeMap<&'static str, Replicas>,
    /// Jobs by queue and state; null while the worker can't be asked.
    #[schema(value_type = Object)]
    queues: Value,
}

#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
pub struct Replicas {
    ready: usize,
    total: usize,
}

/// The last answer.
#[derive(Default)]
pub struct Recent(Mutex<Option<(Instant, Status)>>);

impl Recent {
    /// The state now, or a moment ago.
    pub async fn get(&self, app: &App) -> Status {
        let mut recent = self.0.lock().await;
        match &*recent {
            Some((at, status)) if at.elapsed() < FRESH => status.clone(),
            _ => {
                let status = probe(app).await;
                *recent = Some((Instant::now(), status.clone()));
                status
            }
        }
    }
}

async fn probe(app: &App) -> Status {
    let peers = app.peers();
    let replicas = futures::future::join_all(peers.iter().map(|(_, upstream)| replicas(upstream)));
    let queues = async {
        let asked = app.worker.get::<Value>("/queues");
        match tokio::time::timeout(PROBE_TIMEOUT, asked).await {
            Ok(Ok(queues)) => queues,
            _ => json!(null),
        }
    };
    let gateways = async {
        match &app.gateways {
            Some(gateways) => replicas_of(gateways.clone()).await,
            None => Replicas { ready: 1, total: 1 },
        }
    };
    let (replicas, queues, gateways) = tokio::join!(replicas, queues, gateways);
    let mut services: BTreeMap<_, _> = peers.iter().map(|(name, _)| *name).zip(replicas).collect();
    services.insert("gateway", gateways);
    Status {
        ready: services.values().all(|r| r.ready > 0),
        version: telemetry::VERSION,
        revision: telemetry::REVISION,
        uptime_seconds: app.started.elapsed().as_secs(),
        services,
        queues,
    }
}

async fn replicas_of(upstream: Upstream) -> Replicas {
    replicas(&upstream).await
}

async fn replicas(upstream: &Upstream) -> Replicas {
    let answers = upstream.probe_all("/ready", PROBE_TIMEOUT).await;
    let ready = answers
        .iter()
        .filter(|(_, answer)| answer.as_ref().is_ok_and(|a| a.status().is_success()));
    Replicas {
        ready: ready.count(),
        total: answers.len(),
    }
}
