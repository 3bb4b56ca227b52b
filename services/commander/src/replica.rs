//! The replicas of the platform, and which of them may be killed.
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use rand::{rngs::StdRng, seq::IndexedRandom as _};
use serde::{Deserialize, Serialize};

/// One replica, whatever runs it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    pub name: String,
    pub service: String,
    pub state: State,
    /// Names its present or last process; another process, another life.
    pub life: String,
    /// None while no process runs.
    pub started_at: Option<DateTime<Utc>>,
    /// How often it was started again.
    pub restarts: u32,
    /// `host:port` of its API.
    pub address: String,
    /// `host:port` of its ops listener.
    pub ops: String,
    /// What fails together.
    pub zone: String,
}

/// Where a replica is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ready,
    Starting,
    /// Was asked to leave.
    Draining,
    /// Dead, and not started again yet.
    Down,
}

/// Who is to be killed; any replica when neither service nor replica is given.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Any replica of this service.
    #[serde(default)]
    pub service: Option<String>,
    /// This one.
    #[serde(default)]
    pub replica: Option<String>,
    /// Also the last ready replica of its service.
    #[serde(default)]
    pub force: bool,
}

impl Target {
    fn means(&self, replica: &Replica) -> bool {
        let is = |asked: &Option<String>, name: &str| asked.as_deref().is_none_or(|a| a == name);
        is(&self.service, &replica.service) && is(&self.replica, &replica.name)
    }
}

/// Whether a service has no other ready replica than this one.
pub fn is_last(replica: &Replica, all: &[Replica]) -> bool {
    let mut ready = all
        .iter()
        .filter(|r| r.service == replica.service && r.state == State::Ready);
    replica.state == State::Ready && ready.all(|r| r.name == replica.name)
}

/// Picks the one to kill; `busy` names the services where a replacement is on its way.
///
/// # Errors
/// When the target names nobody, or nobody who may be killed now.
pub fn choose<'a>(
    all: &'a [Replica],
    target: &Target,
    busy: &[String],
    random: &mut StdRng,
) -> Result<&'a Replica> {
    let meant: Vec<_> = all.iter().filter(|r| target.means(r)).collect();
    if meant.is_empty() {
        return Err(Error::NotFound);
    }
    // One that starts is killed by name only: by chance it would be a second kill of the same replica.
    let runs = |r: &Replica| {
        r.state == State::Ready || (target.replica.is_some() && r.state == State::Starting)
    };
    let mut able: Vec<_> = meant
        .into_iter()
        .filter(|r| runs(r) && !busy.contains(&r.service))
        .collect();
    if able.is_empty() {
        return Err(Error::Busy);
    }
    able.retain(|r| target.force || !is_last(r, all));
    able.choose(random).copied().ok_or(Error::LastReplica)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    fn replica(name: &str, state: State) -> Replica {
        let service = name.split('-').next().expect("a name").to_owned();
        Replica {
            name: name.to_owned(),
            service,
            state,
            life: String::new(),
            started_at: None,
            restarts: 0,
            address: String::new(),
            ops: String::new(),
            zone: "a".to_owned(),
        }
    }

    fn picks(all: &[Replica], target: &Target, busy: &[String], seed: u64) -> Vec<String> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut pick = || match choose(all, target, busy, &mut random) {
            Ok(replica) => replica.name.clone(),
            Err(error) => error.to_string(),
        };
        (0..20).map(|_| pick()).collect()
    }

    #[test]
    fn a_seed_gives_the_same_order_and_reaches_everybody() {
        let names = ["a-1", "a-2", "b-1", "b-2"];
        let all = names.map(|name| replica(name, State::Ready));
        let target = Target::default();
        let order = picks(&all, &target, &[], 7);
        assert_eq!(order, picks(&all, &target, &[], 7));
        assert_ne!(order, picks(&all, &target, &[], 8));
        assert!(names.iter().all(|name| order.iter().any(|o| o == name)));
    }

    #[test]
    fn chance_never_hits_the_last_the_absent_or_the_busy() {
        let all = [
            replica("a-1", State::Ready),
            replica("a-2", State::Down),
            replica("b-1", State::Ready),
            replica("b-2", State::Ready),
            replica("c-1", State::Ready),
            replica("c-2", State::Ready),
            replica("c-3", State::Starting),
        ];
        let target = Target::default();
        for pick in picks(&all, &target, &["b".to_owned()], 1) {
            assert!(pick == "c-1" || pick == "c-2", "{pick}");
        }
    }
}
