//! One replica's life, death and next life.
use super::{
    event::{Event, EventKind},
    logs::LogFile,
    probe,
};
use crate::{
    ports::{Place, url},
    tether,
};
use chrono::{DateTime, Utc};
use control::{Signal, State};
use rand::RngExt as _;
use rustix::process::{Pid, kill_process};
use std::{
    ffi::OsString,
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    process::{Child, Command},
    sync::{Notify, mpsc::Sender, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// Pause before the second start in a row; it doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(100);
/// The longest pause.
const BACKOFF_LIMIT: Duration = Duration::from_secs(5);
/// A start that takes longer is worth looking at.
const NEW: Duration = Duration::from_secs(5);
/// How long a replica may take to drain.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// A replica: what stays the same over its lives, and its present state.
#[derive(Debug)]
pub struct Replica {
    /// `SERVICE-N`.
    pub name: String,
    /// Its service, number and ports.
    pub place: Place,
    /// What it writes.
    pub log: LogFile,
    environment: Vec<(String, OsString)>,
    /// One that has been ready for so long starts again at once when it dies.
    healthy: Duration,
    status: Mutex<Status>,
    /// Asks the present process to make room for the next one.
    renew: Notify,
    /// Told whenever the state of any replica changes.
    changes: watch::Sender<()>,
    events: Sender<Event>,
}

/// The present state of a replica.
#[derive(Debug, Clone)]
pub struct Status {
    /// None between two lives.
    pub pid: Option<u32>,
    /// Where it is in its life.
    pub state: State,
    /// Starts after the first.
    pub restarts: u32,
    /// Of the present or last process.
    pub started_at: DateTime<Utc>,
    /// It was ready once, in whichever life.
    pub proven: bool,
    /// How it last failed to get ready.
    pub failed_start: Option<FailedStart>,
}

/// A process that ended before it was ready.
#[derive(Debug, Clone)]
pub struct FailedStart {
    /// Exit code; None after a signal.
    pub code: Option<i32>,
    /// What it said last.
    pub reason: Option<String>,
}

/// How one life ended.
enum End {
    Asked,
    Renewed,
    Died(io::Result<ExitStatus>),
}

impl Replica {
    /// Not started yet.
    pub fn new(
        place: Place,
        log: LogFile,
        environment: Vec<(String, OsString)>,
        healthy: Duration,
        changes: watch::Sender<()>,
        events: Sender<Event>,
    ) -> Self {
        let status = Status {
            pid: None,
            state: State::Starting,
            restarts: 0,
            started_at: Utc::now(),
            proven: false,
            failed_start: None,
        };
        Self {
            name: place.name(),
            place,
            log,
            environment,
            healthy,
            status: Mutex::new(status),
            renew: Notify::new(),
            changes,
            events,
        }
    }

    /// A copy of the present state.
    pub fn status(&self) -> Status {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, Status> {
        self.status.lock().expect("nobody panics while changing it")
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.locked());
        self.changes.send_replace(());
    }

    /// Whether it may still fail to start; then its last words are reported with its death, and
    /// nobody has to look at them before.
    pub fn is_new(&self) -> bool {
        let status = self.locked();
        let age = (Utc::now() - status.started_at).to_std();
        status.state == State::Starting && age.is_ok_and(|age| age < NEW)
    }

    /// As clients of the control socket see it.
    pub fn describe(&self) -> control::Replica {
        let status = self.status();
        control::Replica {
            name: self.name.clone(),
            service: self.place.service.name.to_owned(),
            replica: self.place.replica,
            pid: status.pid,
            state: status.state,
            restarts: status.restarts,
            started_at: status.started_at,
            api: url(self.place.api),
            ops: url(self.place.ops),
        }
    }

    /// Sends `signal` to the present process and tells its pid; None when there is none.
    pub fn signal(&self, signal: Signal) -> io::Result<Option<u32>> {
        let Some(pid) = self.status().pid else {
            return Ok(None);
        };
        self.send(signal.into())?;
        if signal == Signal::Term {
            self.set_state(State::Stopping);
        }
        self.tell(EventKind::Signalled(signal));
        Ok(Some(pid))
    }

    /// Lives until `leave`, then drains; at `kill` it ends at once.
    pub async fn live(self: Arc<Self>, leave: CancellationToken, kill: CancellationToken) {
        let mut short_lives = 0;
        while !leave.is_cancelled() {
            let (end, ready_for) = self.one_life(&leave, &kill).await;
            let how = match end {
                End::Died(how) => how,
                End::Renewed => continue,
                End::Asked => break,
            };
            if ready_for.is_some_and(|time| time >= self.healthy) {
                short_lives = 0;
            }
            let pause = pause(short_lives);
            short_lives += 1;
            self.died(how, ready_for.is_some(), pause);
            tokio::select! {
                () = sleep(pause) => {}
                () = leave.cancelled() => {}
            }
            self.change(|status| status.restarts += 1);
        }
    }

    /// Another process beside this one, on the same API port: ready before this one leaves.
    pub fn stand_in(&self, replica: u16, ops: u16, broken: bool) -> Self {
        let place = Place {
            replica,
            ops,
            ..self.place.clone()
        };
        let name = place.name();
        let mut environment = self.environment.clone();
        environment.extend([
            (tether::REPLICA.into(), name.clone().into()),
            ("OPS_LISTEN".into(), format!("127.0.0.1:{ops}").into()),
            ("NEVER_READY".into(), broken.to_string().into()),
        ]);
        let log = LogFile::new(self.log.path().with_file_name(format!("{name}.log")));
        let (changes, events) = (self.changes.clone(), self.events.clone());
        Self::new(place, log, environment, self.healthy, changes, events)
    }

    /// Lets the present process drain, if there is one, and the next one take its place.
    pub fn renew(&self) {
        self.renew.notify_waiters();
    }

    /// Lives once, until `leave`; gives its last words if it ended before.
    pub async fn live_once(
        self: Arc<Self>,
        leave: CancellationToken,
        kill: CancellationToken,
    ) -> Option<String> {
        let (end, _) = self.one_life(&leave, &kill).await;
        self.set_state(State::Stopping);
        let End::Died(how) = end else { return None };
        let words = self.log.last_words();
        Some(match (how, words) {
            (Err(error), _) => error.to_string(),
            (Ok(_), Some(words)) => words,
            (Ok(status), None) => status.to_string(),
        })
    }

    /// From start to end, and how long it was ready.
    async fn one_life(
        &self,
        leave: &CancellationToken,
        kill: &CancellationToken,
    ) -> (End, Option<Duration>) {
        let mut child = match self.start() {
            Ok(child) => child,
            Err(error) => return (End::Died(Err(error)), None),
        };
        let mut ready = None;
        let end = tokio::select! {
            end = child.wait() => End::Died(end),
            () = self.health(&mut ready) => {
                self.tell(EventKind::Silent);
                End::Died(self.kill(&mut child).await)
            }
            () = leave.cancelled() => {
                self.drain(&mut child, kill).await;
                End::Asked
            }
            () = self.renew.notified() => {
                self.drain(&mut child, kill).await;
                End::Renewed
            }
        };
        // No await since the process was reaped: nobody can have seen its pid in between.
        self.change(|status| status.pid = None);
        (end, ready.map(|ready: Instant| ready.elapsed()))
    }

    fn start(&self) -> io::Result<Child> {
        let log = self.log.writer()?;
        // This very program, even if its file was replaced by a newer build meanwhile.
        let child = Command::new("/proc/self/exe")
            .arg0("seawall")
            .arg(self.place.service.name)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in a terminal is for the supervisor alone: it stops the others in order.
            .process_group(0)
            .spawn()?;
        self.change(|status| {
            status.pid = child.id();
            status.state = State::Starting;
            status.started_at = Utc::now();
        });
        Ok(child)
    }

    /// Follows the replica's health; returns when it hangs. Sets `ready` when it is.
    async fn health(&self, ready: &mut Option<Instant>) {
        let started = Instant::now();
        if !probe::until_ready(self.place.ops).await {
            return;
        }
        *ready = Some(Instant::now());
        self.change(|status| {
            status.proven = true;
            status.failed_start = None;
            if status.state == State::Starting {
                status.state = State::Ready;
            }
        });
        let pid = self.status().pid.unwrap_or_default();
        self.tell(EventKind::Ready(pid, started.elapsed()));
        probe::until_silent(self.place.ops).await;
    }

    async fn drain(&self, child: &mut Child, kill: &CancellationToken) {
        self.set_state(State::Stopping);
        // The second signal wakes one that was frozen, so that it can drain, too. An error means
        // that it is gone already.
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::CONT] {
            let _ = self.send(signal);
        }
        let end = tokio::select! {
            end = child.wait() => end,
            () = kill.cancelled() => self.kill(child).await,
            () = sleep(DRAIN_LIMIT) => {
                self.tell(EventKind::Stubborn);
                self.kill(child).await
            }
        };
        if let Ok(end) = end {
            self.tell(EventKind::Left(end));
        }
    }

    async fn kill(&self, child: &mut Child) -> io::Result<ExitStatus> {
        child.start_kill()?;
        child.wait().await
    }

    fn died(&self, how: io::Result<ExitStatus>, was_ready: bool, pause: Duration) {
        let reason = (!was_ready).then(|| self.log.last_words()).flatten();
        self.change(|status| {
            status.state = State::Backoff;
            if !was_ready {
                let code = how.as_ref().ok().and_then(ExitStatus::code);
                let reason = reason.clone();
                status.failed_start = Some(FailedStart { code, reason });
            }
        });
        self.tell(match how {
            Ok(status) => EventKind::Died(status, reason, pause),
            Err(error) => EventKind::NotStarted(error, pause),
        });
    }

    /// As long as the process is not reaped its pid is its own, so this can't hit a stranger.
    fn send(&self, signal: rustix::process::Signal) -> io::Result<()> {
        let pid = self.status().pid.and_then(|pid| i32::try_from(pid).ok());
        match pid.and_then(Pid::from_raw) {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => Ok(()),
        }
    }

    fn set_state(&self, state: State) {
        self.change(|status| status.state = state);
    }

    fn tell(&self, kind: EventKind) {
        let replica = self.name.clone();
        // A flood is cut, and nobody listens once the supervisor is on its way out.
        let _ = self.events.try_send(Event { replica, kind });
    }
}

/// None after a healthy life, then doubling, with a quarter of jitter so that replicas which died
/// together don't start together for ever.
pub fn pause(short_lives: u32) -> Duration {
    let Some(doublings) = short_lives.checked_sub(1) else {
        return Duration::ZERO;
    };
    let pause = BACKOFF * 2_u32.pow(doublings.min(16));
    pause
        .min(BACKOFF_LIMIT)
        .mul_f64(rand::rng().random_range(0.75..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_immediate_and_the_pause_grows_to_its_limit() {
        assert_eq!(pause(0), Duration::ZERO);
        assert!((75..=100).contains(&pause(1).as_millis()));
        assert!((600..=800).contains(&pause(4).as_millis()));
        assert!((3750..=5000).contains(&pause(7).as_millis()));
        assert!(pause(u32::MAX) <= BACKOFF_LIMIT);
    }
}
