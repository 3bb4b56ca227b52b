//! A program of somebody else that runs beside the replicas: its lives and its end.
use super::{
    event::{Event, EventKind},
    logs::LogFile,
    replica::{DRAIN_LIMIT, pause},
};
use crate::tether;
use rustix::process::{Pid, Signal, kill_process};
use std::{ffi::OsString, io, path::PathBuf, process::Stdio, time::Duration};
use tokio::{
    process::{Child, Command},
    sync::mpsc::Sender,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// One that has lived for so long starts again at once when it dies.
const HEALTHY: Duration = Duration::from_secs(10);

/// How to start it.
#[derive(Debug)]
pub struct Tool {
    /// What people call it.
    pub name: &'static str,
    /// Its executable.
    pub program: PathBuf,
    /// Its command line.
    pub arguments: Vec<OsString>,
    /// What it writes.
    pub log: LogFile,
    /// Whom its deaths are told.
    pub events: Sender<Event>,
}

impl Tool {
    /// Starts again whenever it ends, until `leave`; then it may finish, until `kill`.
    pub async fn live(&self, leave: CancellationToken, kill: CancellationToken) {
        let mut short_lives = 0;
        while !leave.is_cancelled() {
            let started = Instant::now();
            let end = match self.start() {
                Ok(mut child) => tokio::select! {
                    end = child.wait() => end,
                    () = leave.cancelled() => return self.finish(child, kill).await,
                },
                Err(error) => Err(error),
            };
            if started.elapsed() >= HEALTHY {
                short_lives = 0;
            }
            let pause = pause(short_lives);
            short_lives += 1;
            self.tell(match end {
                Ok(status) => EventKind::Died(status, self.log.last_words(), pause),
                Err(error) => EventKind::NotStarted(error, pause),
            });
            tokio::select! {
                () = sleep(pause) => {}
                () = leave.cancelled() => {}
            }
        }
    }

    /// By way of this very program, which ties the process to the supervisor's life and then
    /// becomes the other one.
    fn start(&self) -> io::Result<Child> {
        let log = self.log.writer()?;
        Command::new("/proc/self/exe")
            .arg0("seawall")
            .arg(tether::BECOME)
            .arg(&self.program)
            .args(&self.arguments)
            .env(tether::PARENT_PID, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
    }

    async fn finish(&self, mut child: Child, kill: CancellationToken) {
        // Not reaped yet, so the number can't be another process's.
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let end = tokio::select! {
            end = child.wait() => end,
            () = kill.cancelled() => child.kill().await.and(child.wait().await),
            () = sleep(DRAIN_LIMIT) => {
                self.tell(EventKind::Stubborn);
                child.kill().await.and(child.wait().await)
            }
        };
        if let Ok(end) = end {
            self.tell(EventKind::Left(end));
        }
    }

    fn tell(&self, kind: EventKind) {
        let replica = self.name.to_owned();
        // A flood is cut, and nobody listens once the supervisor is on its way out.
        let _ = self.events.try_send(Event { replica, kind });
    }
}
