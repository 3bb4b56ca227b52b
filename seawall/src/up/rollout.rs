//! A new version of a service, one replica after the other: each old process leaves only once
//! another is ready beside it, on the same API port. So peers need not know, and at no moment are
//! there fewer replicas than before.
use super::{
    event::EventKind,
    fleet::Fleet,
    replica::{DRAIN_LIMIT, Replica},
};
use crate::ports::STAND_IN;
use control::{Phase, Rollout, State};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// The rollout that runs, or the last one.
pub struct Rollouts {
    /// A new process that isn't ready by then is taken back.
    deadline: Duration,
    state: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    rollout: Option<Rollout>,
    stand_in: Option<Arc<Replica>>,
}

impl Rollouts {
    /// None yet.
    pub fn new(deadline: Duration) -> Self {
        Self {
            deadline,
            state: Mutex::default(),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Present> {
        self.state.lock().expect("nobody panics while changing it")
    }

    /// The one that runs, or the last one.
    pub fn last(&self) -> Option<Rollout> {
        self.locked().rollout.clone()
    }

    /// The process that runs beside the replicas of its service.
    pub fn stand_in(&self) -> Option<Arc<Replica>> {
        self.locked().stand_in.clone()
    }
}

/// Starts a rollout, unless there is no such service or another rollout runs. Asked for again
/// under the same id, it tells of the one there is.
pub fn start(
    fleet: &Arc<Fleet>,
    id: String,
    service: &str,
    broken: bool,
) -> Result<Rollout, String> {
    let old = fleet.of(service);
    if old.is_empty() {
        return Err(format!("no service is called {service}"));
    }
    let mut state = fleet.rollouts.locked();
    match &state.rollout {
        Some(last) if last.id == id => return Ok(last.clone()),
        Some(last) if last.phase == Phase::Running => {
            return Err(format!("a rollout of {} is on its way", last.service));
        }
        _ => {}
    }
    let rollout = Rollout {
        id,
        service: service.to_owned(),
        phase: Phase::Running,
        reason: None,
    };
    state.rollout = Some(rollout.clone());
    tokio::spawn(run(fleet.clone(), old, broken));
    Ok(rollout)
}

async fn run(fleet: Arc<Fleet>, old: Vec<Arc<Replica>>, broken: bool) {
    let service = old[0].place.service.name;
    let began = Instant::now();
    fleet.tell(service, EventKind::RollsOut);
    let mut failed = None;
    for replica in &old {
        failed = replace(&fleet, replica, old.len(), broken).await.err();
        if failed.is_some() {
            break;
        }
    }
    let phase = match &failed {
        None => Phase::Done,
        Some(_) => Phase::RolledBack,
    };
    fleet.tell(
        service,
        match failed.clone() {
            None => EventKind::RolledOut(began.elapsed()),
            Some(reason) => EventKind::RolledBack(reason),
        },
    );
    if let Some(rollout) = &mut fleet.rollouts.locked().rollout {
        (rollout.phase, rollout.reason) = (phase, failed);
    }
    fleet.changed();
}

/// Replaces one process; on an error all is as before.
async fn replace(
    fleet: &Arc<Fleet>,
    old: &Arc<Replica>,
    replicas: usize,
    broken: bool,
) -> Result<(), String> {
    // A name of its own for each that stands in, so that nobody takes one for another's next life.
    let number = u16::try_from(replicas).expect("at most 50") + old.place.replica;
    let first = fleet.of(old.place.service.name)[0].place.ops;
    let stand_in = Arc::new(old.stand_in(number, first + STAND_IN, broken));
    let stage = fleet.stage(old);
    let leave = stage.leave.child_token();
    let life = stand_in
        .clone()
        .live_once(leave.clone(), fleet.kill.clone());
    let mut life = stage.lives.spawn(life);
    let deadline = fleet.rollouts.deadline;
    let replaced = tokio::select! {
        done = in_turn(fleet, &stand_in, old, deadline) => done,
        ended = &mut life => {
            let why = ended.ok().flatten().unwrap_or_else(|| "asked to leave".to_owned());
            Err(format!("{} ended: {why}", stand_in.name))
        }
    };
    leave.cancel();
    if !life.is_finished() {
        // However it leaves.
        let _ = life.await;
    }
    fleet.rollouts.locked().stand_in = None;
    fleet.changed();
    replaced
}

/// First the new one is ready, then the old one leaves and its place is taken.
async fn in_turn(
    fleet: &Fleet,
    stand_in: &Arc<Replica>,
    old: &Replica,
    deadline: Duration,
) -> Result<(), String> {
    let ready = |replica: &Replica| replica.status().state == State::Ready;
    let late = |name: &str| format!("{name} was not ready within {} s", deadline.as_secs_f32());
    let mut changes = fleet.changes();
    // Nobody sees it before there is a process, whose start is its name for those who watch.
    let starts = changes.wait_for(|()| stand_in.status().pid.is_some());
    drop(starts.await);
    fleet.rollouts.locked().stand_in = Some(stand_in.clone());
    fleet.changed();
    let new = timeout(deadline, changes.wait_for(|()| ready(stand_in)));
    if new.await.is_err() {
        return Err(late(&stand_in.name));
    }
    let before = old.status().started_at;
    old.renew();
    let next = changes.wait_for(|()| ready(old) && old.status().started_at != before);
    let next = timeout(DRAIN_LIMIT + deadline, next).await;
    next.map(drop).map_err(|_| late(&old.name))
}
