//! An entry of the journal: what happened, on purpose or not, and how it ended.
use crate::replica::Replica;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

pub const KILL: &str = "kill";
pub const DIED: &str = "died";
pub const ROLLOUT: &str = "rollout";
pub const SCALE: &str = "scale";
pub const STARTED: &str = "started";
/// Who does what nobody asked for.
pub const SUPERVISOR: &str = "supervisor";

/// One outage of a replica, or one thing done on purpose.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Entry {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    /// `operator`, or `supervisor` for what nobody asked for.
    pub who: String,
    /// `kill` or `died` for an outage; `rollout` of a service; `fault`, `outage` of a dependency, `clear` of faults;
    /// `scale` of a workload.
    pub action: String,
    /// The replica; the service or the dependency where it is about more than one.
    pub target: String,
    /// `started`; `done` once it is ready again, all its replicas are new, or it is over; `failed`.
    pub outcome: String,
    pub detail: Option<String>,
    /// From then until its replacement was ready, or the last of them.
    pub recovered_ms: Option<i64>,
    #[serde(skip)]
    pub service: String,
    #[serde(skip)]
    pub life: Option<String>,
    /// When it is over by itself.
    #[serde(skip)]
    pub ends_at: Option<DateTime<Utc>>,
    /// The ids of the faults it began, separated by spaces.
    #[serde(skip)]
    pub faults: Option<String>,
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
        let entry = Self::brief(&who, action, &replica.name, &replica.service);
        Self {
            life: Some(replica.life.clone()),
            ..entry
        }
    }

    /// `who` gives the replicas of `service` a new version.
    pub fn rollout(who: &str, service: &str, broken: bool) -> Self {
        Self {
            detail: broken.then(|| "a version that never gets ready".to_owned()),
            ..Self::brief(who, ROLLOUT, service, service)
        }
    }

    /// `who` begins something that ends no process.
    pub fn brief(who: &str, action: &str, target: &str, service: &str) -> Self {
        Self {
            id: Uuid::now_v7(),
            at: db::now(),
            who: who.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            outcome: STARTED.to_owned(),
            detail: None,
            recovered_ms: None,
            service: service.to_owned(),
            life: None,
            ends_at: None,
            faults: None,
        }
    }

    /// Did it begin the fault with this id?
    pub fn began(&self, id: &str) -> bool {
        let ids = self.faults.as_deref().unwrap_or_default();
        ids.split(' ').any(|begun| begun == id)
    }

    /// Did it begin this fault, as it is shown?
    pub fn began_this(&self, fault: &Value) -> bool {
        fault["id"].as_str().is_some_and(|id| self.began(id))
    }
}
