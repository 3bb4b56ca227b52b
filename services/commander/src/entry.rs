//! An entry of the journal: what happened to a replica, and how it ended.
use crate::replica::Replica;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

pub const KILL: &str = "kill";
pub const DIED: &str = "died";
pub const ROLLOUT: &str = "rollout";
pub const STARTED: &str = "started";
/// Who does what nobody asked for.
pub const SUPERVISOR: &str = "supervisor";

/// One outage of one replica, or one rollout of a service.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Entry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    /// `operator`, or `supervisor` for what nobody asked for.
    pub who: String,
    /// `kill`, `died` or `rollout`.
    pub action: String,
    /// The replica; of a rollout, the service.
    pub target: String,
    /// `started`; `done` once it is ready again, or all its replicas are new; `failed`.
    pub outcome: String,
    pub detail: Option<String>,
    /// From then until its replacement was ready, or the last of them.
    pub recovered_ms: Option<i64>,
    #[serde(skip)]
    pub service: String,
    #[serde(skip)]
    pub life: Option<String>,
}

impl Entry {
    /// `who` kills it now.
    pub fn kill(who: String, replica: &Replica) -> Self {
        Self::started(who, KILL, replica)
    }

    /// It has died.
    pub fn died(replica: &Replica) -> Self {
        Self::started(SUPERVISOR.to_owned(), DIED, replica)
    }

    /// `who` gives the replicas of `service` a new version.
    pub fn rollout(who: String, service: &str, broken: bool) -> Self {
        Self {
            id: Uuid::now_v7(),
            at: db::now(),
            who,
            action: ROLLOUT.to_owned(),
            target: service.to_owned(),
            outcome: STARTED.to_owned(),
            detail: broken.then(|| "a version that never gets ready".to_owned()),
            recovered_ms: None,
            service: service.to_owned(),
            life: None,
        }
    }

    fn started(who: String, action: &str, replica: &Replica) -> Self {
        Self {
            target: replica.name.clone(),
            life: Some(replica.life.clone()),
            action: action.to_owned(),
            ..Self::rollout(who, &replica.service, false)
        }
    }
}
