//! The report for people.
use super::{
    findings::Findings,
    jobs::Jobs,
    kill::Replaced,
    report::{Comparison, Cost, Kills, Report, Section, Side},
    tally::{Latency, Requests, Second},
    usage::{Idle, Memory},
};
use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

/// Seconds of the timeline per line.
const SECONDS_PER_LINE: usize = 15;
const MB: f64 = 1e6;

/// Renders a report; one fact a line, its name first.
pub struct Table<'a>(pub &'a Report);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let machine = &report.machine;
        let seed = report
            .seed
            .map_or(String::new(), |seed| format!(", seed {seed}"));
        let run = report
            .run
            .as_ref()
            .map_or(String::new(), |run| format!(", run {run}"));
        writeln!(
            f,
            "seawall bench {} ({}){run}{seed}",
            report.version, report.revision
        )?;
        writeln!(
            f,
            "{} cores, {}, Linux {}",
            machine.cores, machine.cpu, machine.kernel
        )?;
        for phase in &report.phases {
            section(f, phase)?;
        }
        part(f, report.gateway.as_ref(), comparison)?;
        part(f, report.kills.as_ref(), kills)?;
        part(f, report.memory.as_ref(), memory)?;
        part(f, report.idle.as_ref(), idle)?;
        part(f, report.jobs.as_ref(), jobs)?;
        part(f, report.audit.as_ref(), audit)?;
        writeln!(f)?;
        if report.dropped() > 0 {
            writeln!(
                f,
                "warning: {} requests dropped, so the rate was not reached",
                report.dropped()
            )?;
        }
        let faults = report.faults();
        match faults.is_empty() {
            true => writeln!(f, "PASS"),
            false => writeln!(f, "FAIL: {}", faults.join("; ")),
        }
    }
}

fn part<T>(
    f: &mut Formatter<'_>,
    part: Option<&T>,
    show: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    part.map_or(Ok(()), |part| show(f, part))
}

fn line(f: &mut Formatter<'_>, name: &str, text: impl Display) -> fmt::Result {
    writeln!(f, "{name:<16}{text}")
}

fn section(f: &mut Formatter<'_>, section: &Section) -> fmt::Result {
    let figures = &section.figures;
    writeln!(f)?;
    let path = format!("{:?}", section.path).to_lowercase();
    requests(f, "orders", &figures.orders)?;
    let others = format!("{} sold out, {} dropped", figures.sold_out, figures.dropped);
    line(
        f,
        "",
        format_args!("{others}, in {:.1} s by {path}", figures.seconds),
    )?;
    part(f, figures.reads.as_ref(), |f, reads| {
        requests(f, "reads", reads)
    })?;
    line(
        f,
        "longest gap",
        format_args!("{:.0} ms without a success", figures.max_gap_ms),
    )?;
    timeline(f, &figures.timeline)?;
    let own = section.bench_cpu_micros;
    match &section.cost {
        Some(cost) => line(
            f,
            "CPU per order",
            format_args!("{}; the bench itself {own:.0} µs", Services(cost)),
        ),
        None => line(
            f,
            "CPU per order",
            format_args!("not measured; the bench itself {own:.0} µs"),
        ),
    }
}

fn requests(f: &mut Formatter<'_>, name: &str, requests: &Requests) -> fmt::Result {
    let Requests {
        ok,
        per_second,
        failed,
        retried,
        ..
    } = requests;
    line(
        f,
        name,
        format_args!("{ok} ok, {per_second:.1}/s, {failed} failed, {retried} retried"),
    )?;
    causes(f, "  failed by", &requests.failed_by_cause)?;
    causes(f, "  retried for", &requests.retried_by_cause)?;
    line(f, "  latency ms", Percentiles(&requests.latency_ms))
}

struct Percentiles<'a>(&'a Latency);

impl Display for Percentiles<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Latency {
            p50,
            p90,
            p99,
            p999,
            max,
        } = self.0;
        write!(
            f,
            "p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2}"
        )
    }
}

struct Services<'a>(&'a Cost);

impl Display for Services<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} µs:", self.0.cpu_micros)?;
        for (service, micros) in &self.0.cpu_micros_by_service {
            write!(f, " {service} {micros:.0}")?;
        }
        Ok(())
    }
}

fn causes(f: &mut Formatter<'_>, name: &str, causes: &BTreeMap<String, u64>) -> fmt::Result {
    if causes.is_empty() {
        return Ok(());
    }
    let causes: Vec<_> = causes
        .iter()
        .map(|(cause, count)| format!("{count} × {cause}"))
        .collect();
    line(f, name, causes.join(", "))
}

fn timeline(f: &mut Formatter<'_>, timeline: &[Second]) -> fmt::Result {
    let mut name = "ok per second";
    for seconds in timeline.chunks(SECONDS_PER_LINE) {
        let counts: Vec<_> = seconds
            .iter()
            .map(|second| format!("{:>5}", second.ok))
            .collect();
        line(f, name, counts.join(" "))?;
        name = "";
    }
    Ok(())
}

fn comparison(f: &mut Formatter<'_>, comparison: &Comparison) -> fmt::Result {
    let side = |side: &Side| {
        let cpu = side
            .cpu_micros
            .map_or(String::new(), |cpu| format!(", {cpu:.0} µs CPU per order"));
        format!("{} orders, {:.1}/s{cpu}", side.orders, side.per_second)
    };
    writeln!(f)?;
    line(f, "by gateway", side(&comparison.through_gateway))?;
    line(f, "direct", side(&comparison.direct))?;
    let cost = (1.0 - comparison.throughput_ratio) * 100.0;
    let ratio = comparison.throughput_ratio;
    line(
        f,
        "ratio",
        format_args!("{ratio:.3}: the gateway costs {cost:.1} % of throughput"),
    )
}

fn kills(f: &mut Formatter<'_>, kills: &Kills) -> fmt::Result {
    writeln!(f)?;
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for kill in &kills.kills {
        *counts.entry(&kill.name).or_default() += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(name, count)| format!("{count} × {name}"))
        .collect();
    line(
        f,
        "kills",
        format_args!("{}: {}", kills.kills.len(), counts.join(", ")),
    )?;
    part(f, kills.replaced_ms.as_ref(), |f, replaced| {
        let Replaced { min, median, max } = replaced;
        line(
            f,
            "replaced in",
            format_args!("min {min:.0}  median {median:.0}  max {max:.0} ms"),
        )
    })
}

fn memory(f: &mut Formatter<'_>, memory: &Memory) -> fmt::Result {
    let names = memory.pss_by_process.iter();
    let each: Vec<_> = names
        .map(|(name, pss)| format!("{name} {:.1}", *pss as f64 / MB))
        .collect();
    let sum = memory.pss as f64 / MB;
    line(
        f,
        "memory",
        format_args!("{sum:.1} MB PSS in {} processes", each.len()),
    )?;
    for each in each.chunks(5) {
        line(f, "", each.join("  "))?;
    }
    Ok(())
}

fn idle(f: &mut Formatter<'_>, idle: &Idle) -> fmt::Result {
    let Idle {
        cpu_percent,
        seconds,
        ..
    } = idle;
    writeln!(f)?;
    line(
        f,
        "idle CPU",
        format_args!("{cpu_percent:.2} % of a core over {seconds:.1} s"),
    )?;
    let names = idle.cpu_percent_by_process.iter();
    let each: Vec<_> = names
        .map(|(name, percent)| format!("{name} {percent:.2}"))
        .collect();
    for each in each.chunks(5) {
        line(f, "", each.join("  "))?;
    }
    memory(f, &idle.memory)
}

fn jobs(f: &mut Formatter<'_>, jobs: &Jobs) -> fmt::Result {
    writeln!(f)?;
    let Jobs {
        pushed,
        pushed_per_second,
        done,
        done_per_second,
        ..
    } = jobs;
    line(
        f,
        "jobs",
        format_args!("{pushed} pushed, {pushed_per_second:.0}/s"),
    )?;
    causes(f, "  failed by", &jobs.failed)?;
    line(f, "", format_args!("{done} done, {done_per_second:.0}/s"))?;
    line(f, "  latency ms", Percentiles(&jobs.latency_ms))
}

fn audit(f: &mut Formatter<'_>, audit: &Findings) -> fmt::Result {
    writeln!(f)?;
    let Findings {
        orders,
        confirmed,
        cancelled,
        ..
    } = audit;
    line(
        f,
        "audit",
        format_args!("{orders} orders stored, {confirmed} confirmed, {cancelled} cancelled"),
    )?;
    let mails: Vec<_> = audit
        .mails_by_status
        .iter()
        .map(|(status, n)| format!("{n} {status}"))
        .collect();
    line(f, "", format_args!("mails: {}", mails.join(", ")))?;
    part(f, audit.ledger.as_ref(), |f, ledger| {
        line(
            f,
            "",
            format_args!(
                "ledger: {} ok, {} fail, {} info",
                ledger.ok, ledger.fail, ledger.info
            ),
        )
    })?;
    for check in &audit.checks {
        let verdict = if check.violations == 0 {
            "ok"
        } else {
            "VIOLATED"
        };
        let name = format!("  {:?} {verdict}", check.invariant);
        let counts = match check.violations {
            0 => format!("{} checks", check.checked),
            violations => format!("{violations} of {} checks", check.checked),
        };
        line(f, &name, format_args!("{} ({counts})", check.rule))?;
    }
    for violation in &audit.first {
        writeln!(f, "  ! {:?} {}", violation.invariant, violation.detail)?;
    }
    Ok(())
}
