//! Ties a replica's life to its supervisor's: no orphan outlives `kill -9` of the supervisor.
use anyhow::{Context as _, bail};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Set for replicas: the pid of their supervisor.
pub const PARENT_PID: &str = "SEAWALL_PARENT_PID";
/// Set for replicas: their name, such as `order-2`.
pub const REPLICA: &str = "SEAWALL_REPLICA";

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
