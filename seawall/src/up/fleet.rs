//! All replicas together: their start, their end, and what clients ask about them.
use super::{
    Args,
    data::DataFolder,
    event::{Event, EventKind},
    logs::LogFile,
    replica::Replica,
    rollout::{self, Rollouts},
    settings,
};
use crate::{ports::Place, services::SERVICES};
use control::{Request, Response, Signal, State};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::{mpsc::Sender, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How a process says that its settings are bad: trying again is no use.
const BAD_SETTINGS: i32 = 2;
/// After so many restarts a service that has never been ready won't be.
const RESTARTS_IN_VAIN: u32 = 2;

/// Every replica of every service.
pub struct Fleet {
    /// In the order of the table of services.
    pub replicas: Vec<Arc<Replica>>,
    /// Ends draining replicas at once.
    pub kill: CancellationToken,
    /// The rollout that runs, or the last one.
    pub rollouts: Rollouts,
    stages: BTreeMap<u8, Stage>,
    changes: watch::Sender<()>,
    events: Sender<Event>,
}

/// Replicas that leave together.
#[derive(Default)]
pub struct Stage {
    /// Asks them to.
    pub leave: CancellationToken,
    /// What they do until then.
    pub lives: TaskTracker,
}

impl Fleet {
    /// Starts them all.
    pub fn start(
        args: &Args,
        data: &DataFolder,
        events: &Sender<Event>,
    ) -> anyhow::Result<Arc<Self>> {
        let changes = watch::Sender::new(());
        let prepare = |place: Place| -> anyhow::Result<Arc<Replica>> {
            let environment = settings::environment(args, data, &place)?;
            let log = data.path().join(format!("logs/{}.log", place.name()));
            let log = LogFile::new(log);
            let replica = Replica::new(
                place,
                log,
                environment,
                args.healthy_after,
                changes.clone(),
                events.clone(),
            );
            Ok(Arc::new(replica))
        };
        // Nothing starts unless everything can.
        let replicas = args.layout.places().map(prepare);
        let fleet = Self {
            replicas: replicas.collect::<anyhow::Result<_>>()?,
            kill: CancellationToken::new(),
            rollouts: Rollouts::new(args.rollout_deadline),
            stages: BTreeMap::new(),
            changes: changes.clone(),
            events: events.clone(),
        };
        Ok(fleet.come_to_life())
    }

    fn come_to_life(mut self) -> Arc<Self> {
        for replica in &self.replicas {
            let stage = self.stages.entry(replica.place.service.stage).or_default();
            let life = replica.clone().live(stage.leave.clone(), self.kill.clone());
            stage.lives.spawn(life);
        }
        Arc::new(self)
    }

    /// The replicas of one service.
    pub fn of(&self, service: &str) -> Vec<Arc<Replica>> {
        let mine = |replica: &&Arc<Replica>| replica.place.service.name == service;
        self.replicas.iter().filter(mine).cloned().collect()
    }

    /// Those who leave together with this one.
    pub fn stage(&self, replica: &Replica) -> &Stage {
        &self.stages[&replica.place.service.stage]
    }

    /// Tells people.
    pub fn tell(&self, replica: &str, kind: EventKind) {
        let replica = replica.to_owned();
        // A flood is cut.
        let _ = self.events.try_send(Event { replica, kind });
    }

    /// Tells those who follow the replicas that something has changed.
    pub fn changed(&self) {
        self.changes.send_replace(());
    }

    /// Whether every replica is ready.
    pub fn ready(&self) -> bool {
        let mut replicas = self.replicas.iter();
        replicas.all(|replica| replica.status().state == State::Ready)
    }

    /// Whether a replica of this service is ready.
    pub fn has(&self, service: &str) -> bool {
        let mut replicas = self.replicas.iter();
        replicas.any(|r| r.place.service.name == service && r.status().state == State::Ready)
    }

    /// Why a service will never start, if no replica of it has ever been ready and none can be.
    pub fn hopeless(&self) -> Option<String> {
        SERVICES.iter().find_map(|service| {
            let of_service = |replica: &&Arc<Replica>| replica.place.service.name == service.name;
            let mut reason = None;
            for replica in self.replicas.iter().filter(of_service) {
                let status = replica.status();
                let failed = status.failed_start.filter(|_| !status.proven)?;
                if failed.code != Some(BAD_SETTINGS) && status.restarts < RESTARTS_IN_VAIN {
                    return None;
                }
                let said = || format!("see {}", replica.log.path().display());
                reason = Some(failed.reason.unwrap_or_else(said));
            }
            reason.map(|reason| format!("{} cannot start: {reason}", service.name))
        })
    }

    /// Lets all leave, stage by stage: whoever calls goes before whoever is called.
    pub async fn leave(&self) {
        for stage in self.stages.values() {
            stage.leave.cancel();
            stage.lives.close();
            stage.lives.wait().await;
        }
    }

    /// Marks every change of a replica's state.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Answers clients of the control socket.
    pub fn answer(self: Arc<Self>) -> impl Fn(Request) -> Response + Clone + Send + Sync + 'static {
        move |request| match request {
            Request::List | Request::Watch => Response::List {
                replicas: self.all().map(|replica| replica.describe()).collect(),
            },
            Request::Kill { name, signal } => self.signal(&name, signal),
            Request::Rollout {
                id,
                service,
                broken,
            } => match rollout::start(&self, id, &service, broken) {
                Ok(rollout) => Response::Rollout {
                    rollout: Some(rollout),
                },
                Err(error) => Response::Refused { error },
            },
            Request::Progress => Response::Rollout {
                rollout: self.rollouts.last(),
            },
        }
    }

    /// Every replica and, beside those of its service, one that stands in during a rollout.
    fn all(&self) -> impl Iterator<Item = Arc<Replica>> {
        let mut all = self.replicas.clone();
        if let Some(stand_in) = self.rollouts.stand_in() {
            let service = stand_in.place.service.name;
            let last = all.iter().rposition(|r| r.place.service.name == service);
            all.insert(last.map_or(0, |last| last + 1), stand_in);
        }
        all.into_iter()
    }

    fn signal(&self, name: &str, signal: Signal) -> Response {
        let replica = self.all().find(|replica| replica.name == name);
        let error = match replica.map(|replica| replica.signal(signal)) {
            Some(Ok(Some(pid))) => return Response::Done { ok: true, pid },
            Some(Ok(None)) => format!("{name} is not running at this moment"),
            Some(Err(error)) => format!("{name} does not get the signal: {error}"),
            None => format!("no replica is called {name}"),
        };
        Response::Refused { error }
    }
}
