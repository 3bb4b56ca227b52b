//! Ties a replica's life to its supervisor's: no orphan outlives `kill -9` of the supervisor.
use anyhow::{Context as _, bail};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

/// Set for replicas: the pid of their supervisor.
pub const PARENT_PID: &str = "SEAWALL_PARENT_PID";
/// Set for replicas: their name, such as `order-2`.
pub const REPLICA: &str = "SEAWALL_REPLICA";
/// First argument of a process that is to become another program; for the supervisor alone.
pub const BECOME: &str = "become";

/// In a replica, asks the kernel for SIGKILL at the supervisor's death; elsewhere does nothing.
///
/// The kernel ties the signal to the *thread* that started the process, so the supervisor
/// starts its children on its main thread.
pub fn to_supervisor() -> anyhow::Result<()> {
    let Some(parent) = std::env::var_os(PARENT_PID) else {
        return Ok(());
    };
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot follow the supervisor")?;
    // It may have died before the line above; then the signal never comes.
    let alive = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if alive.as_deref() != parent.to_str() {
        bail!("the supervisor is gone");
    }
    if let Some(name) = std::env::var_os(REPLICA) {
        // How `top` and `ps` show it; only a convenience.
        std::fs::write("/proc/self/comm", name.as_encoded_bytes()).ok();
    }
    Ok(())
}

/// Becomes the program that the arguments name, with the rest of them; returns only why not. The tie
/// lasts, since the kernel keeps it when a process changes its program.
pub fn become_other(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Error {
    let Some(program) = arguments.next() else {
        return anyhow::anyhow!("{BECOME} what?");
    };
    let error = Command::new(&program).args(arguments).exec();
    anyhow::Error::from(error).context(format!("cannot start {}", program.display()))
}
