//! Everything one run of the bench found out; serialized as it is for `--json`.
use super::{
    args::{Args, Path},
    findings::Findings,
    jobs::Jobs,
    kill::{Kill, Replaced, spread},
    machine::Machine,
    tally::Figures,
    usage::{Idle, Memory},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// The report. Parts that were not asked for are none.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub revision: &'static str,
    pub started_at: DateTime<Utc>,
    pub machine: Machine,
    pub args: Args,
    /// Prefix of this run's idempotency keys.
    pub run: Option<String>,
    pub seed: Option<u64>,
    pub phases: Vec<Section>,
    pub gateway: Option<Comparison>,
    pub kills: Option<Kills>,
    pub memory: Option<Memory>,
    pub idle: Option<Idle>,
    pub jobs: Option<Jobs>,
    pub audit: Option<Findings>,
    /// Why there is no audit though there should be one.
    pub audit_error: Option<String>,
}

/// A phase of load and what it cost.
#[derive(Debug, Clone, Serialize)]
pub struct Section {
    pub path: Path,
    #[serde(flatten)]
    pub figures: Figures,
    /// None without a supervisor that tells the pids.
    pub cost: Option<Cost>,
    /// CPU of the bench itself, microseconds per order.
    pub bench_cpu_micros: f64,
}

/// The platform's own CPU per acknowledged order, with all that followed its answer,
/// microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    pub cpu_micros_by_service: BTreeMap<String, f64>,
    pub cpu_micros: f64,
}

/// Both paths in one run.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pub through_gateway: Side,
    pub direct: Side,
    /// Throughput through the gateway by throughput without it.
    pub throughput_ratio: f64,
}

/// All turns of one path.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    pub orders: u64,
    pub per_second: f64,
    pub cpu_micros: Option<f64>,
}

/// All kills of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Kills {
    pub kills: Vec<Kill>,
    /// None when no victim was replaced.
    pub replaced_ms: Option<Replaced>,
}

impl Report {
    /// An empty one.
    pub fn new(args: &Args) -> Self {
        Self {
            version: telemetry::VERSION,
            revision: telemetry::REVISION,
            started_at: Utc::now(),
            machine: Machine::read(),
            args: args.clone(),
            run: None,
            seed: None,
            phases: Vec::new(),
            gateway: None,
            kills: None,
            memory: None,
            idle: None,
            jobs: None,
            audit: None,
            audit_error: None,
        }
    }

    /// Keeps an audit, or why it could not be made.
    pub fn set_audit(&mut self, audit: anyhow::Result<Findings>) {
        match audit {
            Ok(findings) => self.audit = Some(findings),
            Err(error) => self.audit_error = Some(format!("{error:#}")),
        }
    }

    /// Requests that the generator never sent.
    pub fn dropped(&self) -> u64 {
        self.phases.iter().map(|phase| phase.figures.dropped).sum()
    }

    /// Why the run is not good; nothing when it is.
    pub fn faults(&self) -> Vec<String> {
        let failed: u64 = self.phases.iter().map(|phase| phase.figures.failed()).sum();
        let violations = self.audit.as_ref().map_or(0, |audit| audit.violations);
        let lost = self.kills.as_ref().map_or(0, Kills::not_replaced);
        let jobs = self.jobs.as_ref().map_or(0, Jobs::not_done);
        let dropped = if self.args.strict { self.dropped() } else { 0 };
        let counts = [
            (failed, "requests failed"),
            (violations, "violations found by the audit"),
            (lost, "killed replicas not replaced"),
            (jobs, "jobs not done"),
            (dropped, "requests dropped by the generator"),
        ];
        let bad = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut faults: Vec<_> = bad.map(|(count, what)| format!("{count} {what}")).collect();
        faults.extend(self.audit_error.as_ref().map(|e| format!("no audit: {e}")));
        faults
    }
}

impl Section {
    /// `own` is the CPU time that the bench used.
    pub fn new(path: Path, figures: Figures, own: Duration) -> Self {
        let bench_cpu_micros = per_order(own, figures.orders.ok);
        Self {
            path,
            figures,
            cost: None,
            bench_cpu_micros,
        }
    }
}

impl Cost {
    /// Of CPU time by service, over `orders` orders.
    pub fn of(total: &BTreeMap<String, Duration>, orders: u64) -> Self {
        let share =
            |(service, time): (&String, &Duration)| (service.clone(), per_order(*time, orders));
        Self {
            cpu_micros_by_service: total.iter().map(share).collect(),
            cpu_micros: per_order(total.values().sum(), orders),
        }
    }
}

fn per_order(time: Duration, orders: u64) -> f64 {
    time.as_secs_f64() * 1e6 / orders.max(1) as f64
}

impl Comparison {
    /// Sums up the turns of both paths.
    pub fn of(phases: &[Section]) -> Self {
        let through_gateway = Side::of(phases, Path::Gateway);
        let direct = Side::of(phases, Path::Direct);
        let throughput_ratio = through_gateway.per_second / direct.per_second.max(f64::EPSILON);
        Self {
            through_gateway,
            direct,
            throughput_ratio,
        }
    }
}

impl Side {
    fn of(phases: &[Section], path: Path) -> Self {
        let turns = || phases.iter().filter(|phase| phase.path == path);
        let orders: u64 = turns().map(|turn| turn.figures.orders.ok).sum();
        let seconds: f64 = turns().map(|turn| turn.figures.seconds).sum();
        let cpu = turns()
            .map(|turn| Some(turn.cost.as_ref()?.cpu_micros * turn.figures.orders.ok as f64));
        Self {
            orders,
            per_second: orders as f64 / seconds.max(f64::EPSILON),
            cpu_micros: cpu
                .sum::<Option<f64>>()
                .map(|sum| sum / orders.max(1) as f64),
        }
    }
}

impl Kills {
    pub fn of(kills: Vec<Kill>) -> Self {
        let replaced_ms = spread(&kills);
        Self { kills, replaced_ms }
    }

    fn not_replaced(&self) -> u64 {
        self.kills
            .iter()
            .filter(|kill| kill.replaced_ms.is_none())
            .count() as u64
    }
}
