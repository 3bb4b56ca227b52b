//! The picture of the whole platform.
use crate::{
    App,
    present_load::{LANE, Load},
    readings::Queue,
    replica::{self, Replica, State},
    traffic::Signals,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

/// Every replica, the golden signals and the queues.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Platform {
    /// `local`, `compose` or `kubernetes`.
    environment: &'static str,
    version: &'static str,
    at: DateTime<Utc>,
    services: Vec<Service>,
    signals: Signals,
    /// None while the worker can't be asked.
    queues: Vec<Queue>,
    /// Active on purpose, with their `replica` and `service`.
    #[schema(value_type = Vec<Object>)]
    faults: Vec<Value>,
    /// The load that commander puts on the platform now.
    load: Option<Load>,
}

/// None too while the database is away: the rest is worth seeing without it.
async fn present_load(app: &App) -> Option<Load> {
    let run = app.runs.present(LANE).await.ok().flatten();
    run.as_ref().and_then(Load::of)
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct Service {
    name: String,
    replicas: Vec<ReplicaView>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct ReplicaView {
    name: String,
    state: State,
    /// Null while no process runs.
    started_at: Option<DateTime<Utc>>,
    /// How often it was started again.
    restarts: u32,
    address: String,
    /// What fails together.
    zone: String,
    /// Whether its state lets it be killed without `force`.
    killable: bool,
}

impl Platform {
    /// The platform with these replicas.
    pub async fn with(app: &App, replicas: &[Replica]) -> Self {
        let (signals, queues) = app.readings.get().await;
        let mut services: Vec<Service> = Vec::new();
        for replica in replicas {
            if services.last().is_none_or(|s| s.name != replica.service) {
                services.push(Service {
                    name: replica.service.clone(),
                    replicas: Vec::new(),
                });
            }
            let service = services
                .last_mut()
                .expect("just pushed where it was missing");
            let ready = replica.state == State::Ready;
            service.replicas.push(ReplicaView {
                name: replica.name.clone(),
                state: replica.state,
                started_at: replica.started_at,
                restarts: replica.restarts,
                address: replica.address.clone(),
                zone: replica.zone.clone(),
                killable: app.chaos && ready && !replica::is_last(replica, replicas),
            });
        }
        Self {
            environment: app.driver.name(),
            version: telemetry::VERSION,
            at: db::now(),
            services,
            signals,
            queues,
            faults: app.points.seen(replicas).await,
            load: present_load(app).await,
        }
    }
}
