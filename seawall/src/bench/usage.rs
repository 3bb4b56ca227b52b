//! CPU time and memory of the platform's processes on this machine.
use anyhow::Context as _;
use control::{Client, Replica};
use nix::{
    time::{ClockId, clock_getcpuclockid},
    unistd::Pid,
};
use procfs::process::Process;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Below this share of a core all processes together count as quiet.
const QUIET: f64 = 0.03;
/// Over which quiet is judged; longer than the slowest idle poll of a queue.
const LOOK: Duration = Duration::from_millis(300);
/// Name of the process that started the replicas.
const SUPERVISOR: &str = "supervisor";

/// One process of the platform.
#[derive(Debug, Clone)]
struct Member {
    name: String,
    service: String,
    pid: u32,
}

/// Proportional share of memory, bytes.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    pub pss_by_process: BTreeMap<String, u64>,
    pub pss: u64,
}

/// What the platform uses when nothing asks anything of it.
#[derive(Debug, Clone, Serialize)]
pub struct Idle {
    pub seconds: f64,
    /// Percent of one core.
    pub cpu_percent_by_process: BTreeMap<String, f64>,
    pub cpu_percent: f64,
    pub memory: Memory,
}

/// Sums the CPU time of every process that lives while it measures, dead ones included up to
/// the last sample.
pub struct Meter {
    control: Client,
    clocks: Mutex<HashMap<u32, Reading>>,
}

/// First and last reading of one process's clock.
#[derive(Debug)]
struct Reading {
    service: String,
    first: Duration,
    last: Duration,
}

impl Meter {
    pub fn new(data: &Path) -> Self {
        Self {
            control: Client::of(data),
            clocks: Mutex::default(),
        }
    }

    /// Forgets what was measured and starts from here.
    pub async fn start(&self) -> anyhow::Result<()> {
        let members = members(&self.control).await?;
        let mut clocks = self.clocks();
        clocks.clear();
        for member in members {
            if let Some(now) = cpu_time(member.pid) {
                let reading = Reading {
                    service: member.service,
                    first: now,
                    last: now,
                };
                clocks.insert(member.pid, reading);
            }
        }
        Ok(())
    }

    /// Reads all clocks. A process that is new counts from its birth.
    pub async fn sample(&self) -> anyhow::Result<()> {
        let members = members(&self.control).await?;
        let mut clocks = self.clocks();
        for member in members {
            if let Some(now) = cpu_time(member.pid) {
                let reading = clocks.entry(member.pid).or_insert(Reading {
                    service: member.service,
                    first: Duration::ZERO,
                    last: now,
                });
                reading.last = now;
            }
        }
        Ok(())
    }

    /// CPU time by service since the start.
    pub fn total(&self) -> BTreeMap<String, Duration> {
        let mut total = BTreeMap::new();
        for reading in self.clocks().values() {
            *total.entry(reading.service.clone()).or_default() += reading.last - reading.first;
        }
        total
    }

    /// Returns once the processes do next to nothing, or after `limit`. What an order still
    /// causes after its answer belongs to its cost.
    pub async fn wait_until_quiet(&self, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let (start, before) = (Instant::now(), self.now().await?);
            sleep(LOOK).await;
            let used = self.now().await?.saturating_sub(before);
            let quiet = used.as_secs_f64() < QUIET * start.elapsed().as_secs_f64();
            if quiet || Instant::now() >= deadline {
                return self.sample().await;
            }
        }
    }

    async fn now(&self) -> anyhow::Result<Duration> {
        let members = members(&self.control).await?;
        Ok(members.iter().filter_map(|m| cpu_time(m.pid)).sum())
    }

    fn clocks(&self) -> MutexGuard<'_, HashMap<u32, Reading>> {
        self.clocks
            .lock()
            .expect("no task panics while it holds the lock")
    }
}

/// CPU time this process has used.
pub fn own_cpu_time() -> Duration {
    ClockId::CLOCK_PROCESS_CPUTIME_ID
        .now()
        .map_or(Duration::ZERO, Duration::from)
}

/// Memory of every process now.
pub async fn memory(control: &Client) -> anyhow::Result<Memory> {
    let members = members(control).await?;
    let pss_by_process: BTreeMap<_, _> = members
        .into_iter()
        .filter_map(|m| Some((m.name, pss(m.pid)?)))
        .collect();
    Ok(Memory {
        pss: pss_by_process.values().sum(),
        pss_by_process,
    })
}

/// Watches the platform for `time` without asking anything of it.
pub async fn idle(control: &Client, time: Duration) -> anyhow::Result<Idle> {
    let before = members(control).await?;
    let start = Instant::now();
    let first: Vec<_> = before.iter().map(|m| cpu_time(m.pid)).collect();
    sleep(time).await;
    let seconds = start.elapsed().as_secs_f64();
    let mut cpu_percent_by_process = BTreeMap::new();
    for (member, first) in before.into_iter().zip(first) {
        let used = cpu_time(member.pid).zip(first);
        let (last, first) = used.with_context(|| format!("{} ended meanwhile", member.name))?;
        let percent = (last - first).as_secs_f64() / seconds * 100.0;
        cpu_percent_by_process.insert(member.name, percent);
    }
    Ok(Idle {
        seconds,
        cpu_percent: cpu_percent_by_process.values().sum(),
        cpu_percent_by_process,
        memory: memory(control).await?,
    })
}

/// Every replica that lives, and the supervisor.
async fn members(control: &Client) -> anyhow::Result<Vec<Member>> {
    let replicas = control.list().await?;
    let member = |r: Replica| {
        let pid = r.pid?;
        Some(Member {
            name: r.name,
            service: r.service,
            pid,
        })
    };
    let mut members: Vec<_> = replicas.into_iter().filter_map(member).collect();
    let supervisor = members.iter().find_map(|m| parent(m.pid));
    members.extend(supervisor.map(|pid| Member {
        name: SUPERVISOR.into(),
        service: SUPERVISOR.into(),
        pid,
    }));
    Ok(members)
}

fn process(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

/// The parent, unless that is init, who adopts orphans.
fn parent(pid: u32) -> Option<u32> {
    let parent = process(pid)?.stat().ok()?.ppid;
    u32::try_from(parent).ok().filter(|pid| *pid > 1)
}

/// A process's CPU clock, threads that have ended included. It counts nanoseconds; the sum of
/// `utime` and `stime` in `/proc/PID/stat` would be cut to ticks of 10 ms per process.
fn cpu_time(pid: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    Some(clock.now().ok()?.into())
}

fn pss(pid: u32) -> Option<u64> {
    let rollup = process(pid)?.smaps_rollup().ok()?;
    let pss = |map: procfs::process::MemoryMap| map.extension.map.get("Pss").copied();
    rollup.memory_map_rollup.into_iter().find_map(pss)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_be_measured_from_outside() {
        let pid = std::process::id();
        let before = cpu_time(pid).expect("this process lives");
        let work = own_cpu_time() + Duration::from_millis(10);
        while own_cpu_time() < work {}
        let used = cpu_time(pid).expect("still") - before;
        assert!(used >= Duration::from_millis(10), "{used:?} of 10 ms");
        let pss = pss(pid).expect("smaps_rollup");
        assert!((100_000..10_000_000_000).contains(&pss), "{pss} bytes");
        assert_eq!(parent(pid), std::os::unix::process::parent_id().into());
    }
}
