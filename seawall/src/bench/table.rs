//! The report for people.
mod load;

use super::{
    findings::Findings,
    jobs::Jobs,
    kill::Replaced,
    report::{Kills, Report},
    usage::{Idle, Memory},
};
use load::{Percentiles, causes, comparison, section, turn};
use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

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
            match report.gateway {
                None => section(f, phase)?,
                Some(_) => turn(f, phase)?,
            }
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
