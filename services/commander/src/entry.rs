//! An entry of the journal: what happened to a replica, and how it ended.
use crate::replica::Replica;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

pub const KILL: &str = "kill";
pub const DIED: &str = "died";
pub const STARTED: &str = "started";
/// Who does what nobody asked for.
pub const SUPERVISOR: &str = "supervisor";

/// One outage of one replica.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Entry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    /// `operator`, or `supervisor` for what nobody asked for.
    pub who: String,
    /// `kill` or `died`.
    pub action: String,
    /// The replica.
    pub target: String,
    /// `started`; `done` once it is ready again; `failed`.
    pub outcome: String,
    pub detail: Option<String>,
    /// From then until its replacement was ready.
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

    fn started(who: String, action: &str, replica: &Replica) -> Self {
        Self {
            id: Uuid::now_v7(),
            at: db::now(),
            who,
            action: action.to_owned(),
            target: replica.name.clone(),
            outcome: STARTED.to_owned(),
            detail: None,
            recovered_ms: None,
            service: replica.service.clone(),
            life: Some(replica.life.clone()),
        }
    }
}
