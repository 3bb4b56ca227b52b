//! `seawall drill run`: one drill or all, with their verdicts on the screen and in files.
use super::args::Run;
use crate::up;
use anyhow::{Context as _, bail};
use commander::{
    audit::collect::{Patience, Subject, settled_audit},
    drill::{
        catalogue::Catalogue,
        course::{self, Options},
        file::Drill,
        ops::Ops,
        postmortem::postmortem,
        progress::{Phase, Progress},
        report::{Report, Verdict},
        results,
        site::Site,
    },
    load::plan::draw_seed,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// For what is on its way when the load ends; an event that failed waits up to a minute for its next try.
const SETTLE: Duration = Duration::from_secs(90);
/// For holds of orders that never came, which run out after HOLD_SECONDS and the next sweep.
const HOLDS: Duration = Duration::from_secs(200);

/// Runs them one after the other.
///
/// # Errors
/// When there is no such drill, or a file can't be written.
pub async fn run(args: &Run) -> anyhow::Result<ExitCode> {
    let catalogue = Catalogue::load(args.files.drills.as_deref())?;
    let seed = args.seed.unwrap_or_else(draw_seed);
    let drills = choose(&catalogue, args, seed)?;
    let site = Site {
        // Given either, that one is asked.
        prometheus: args.prometheus.clone().or_else(|| {
            let own = || up::data::prometheus(&args.platform.data);
            args.alertmanager.is_none().then(own).flatten()
        }),
        alertmanager: args.alertmanager.clone(),
        ..args.platform.site()
    };
    println!("seed {seed}");
    let several = drills.len() > 1;
    let stop = stop_on_signals()?;
    let mut reports = Vec::new();
    for drill in drills {
        if stop.is_cancelled() {
            break;
        }
        let report = one(&site, drill, args, seed, several, &stop).await;
        publish(&site, &report).await;
        reports.push(report);
    }
    if several && !stop.is_cancelled() {
        let left = holds_run_out(&site).await?;
        if let (Some(reason), Some(last)) = (left, reports.last_mut()) {
            eprintln!("{reason}");
            last.verdict = Verdict::Failed;
            last.reasons.push(reason);
        }
    }
    write(args, &reports)?;
    Ok(ExitCode::from(worst(&reports)))
}

fn choose<'a>(catalogue: &'a Catalogue, args: &Run, seed: u64) -> anyhow::Result<Vec<&'a Drill>> {
    Ok(match args.name.as_deref() {
        Some("all") if args.gate => catalogue.gate().collect(),
        Some("all") => catalogue.all().iter().collect(),
        Some(name) => match catalogue.get(name) {
            Some(drill) => vec![drill],
            None => bail!("no drill called {name}; `seawall drill list` shows them all"),
        },
        None => catalogue.draw(seed).into_iter().collect(),
    })
}

/// Ctrl-C calls a run off; what is broken is repaired first.
fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        eprintln!("called off; repairing");
        told.cancel();
    });
    Ok(stop)
}

async fn one(
    site: &Site,
    drill: &Drill,
    args: &Run,
    seed: u64,
    several: bool,
    stop: &CancellationToken,
) -> Report {
    match args.hidden {
        true => println!("\na hidden drill"),
        false => println!("\n{}: {}", drill.name, drill.title),
    }
    let progress = Progress::default();
    let shown = (!args.hidden).then(|| show(&progress));
    let holds = if several { Duration::ZERO } else { HOLDS };
    let options = Options {
        seed,
        patience: Patience {
            settle: SETTLE,
            holds,
        },
        alerts: args.alerts,
        hold: None,
    };
    let report = course::run(site, drill, &options, &progress, stop).await;
    if let Some(shown) = shown {
        // It only prints.
        let _ = shown.await;
    }
    if args.hidden {
        println!("it was {}: {}", report.drill, report.title);
    }
    for mark in &report.marks {
        let sign = if mark.passed { "  ok  " } else { " MISS " };
        println!("{sign} {}: {} ({})", mark.mark, mark.measured, mark.limit);
    }
    println!("       time to detect: {}", report.detection.told());
    for reason in &report.reasons {
        println!("       {reason}");
    }
    println!("{} {}", report.drill, report.verdict.name().to_uppercase());
    report
}

/// Prints each event as it comes, and ends with the run.
fn show(progress: &Progress) -> JoinHandle<()> {
    let (progress, mut changed) = (progress.clone(), progress.subscribe());
    tokio::spawn(async move {
        let mut shown = 0;
        loop {
            let story = progress.story();
            for event in &story.timeline[shown..] {
                println!("{:6.1} s  {}", event.at, event.what);
            }
            shown = story.timeline.len();
            if story.phase == Phase::Over || changed.changed().await.is_err() {
                return;
            }
        }
    })
}

/// Commander keeps the runs of others beside its own; a run counts without that, too.
async fn publish(site: &Site, report: &Report) {
    let mut short = report.clone();
    // A body has its limit; a long run's seconds are in the files.
    short.by_second.truncate(300);
    let told = async {
        let mut ops = Ops::open(site).await?;
        let body = json!({
            "id": report.id,
            "drill": report.drill,
            "seed": report.seed,
            "verdict": report.verdict,
            "report": short,
            "markdown": postmortem(report),
        });
        ops.post("/api/ops/drills/runs", &body, &report.id.to_string())
            .await
    };
    match told.await {
        Ok((status, _)) if status.is_success() => {}
        Ok((status, text)) => eprintln!("commander did not take the report: {status} {text}"),
        Err(error) => eprintln!("commander did not take the report: {error:#}"),
    }
}

/// Holds of orders that never came end by themselves; that they do is judged once, after all drills.
async fn holds_run_out(site: &Site) -> anyhow::Result<Option<String>> {
    println!("\nlast audit of everything stored");
    let mut ops = Ops::open(site).await?;
    let patience = Patience {
        settle: SETTLE,
        holds: HOLDS,
    };
    let findings = settled_audit(ops.shop(), Subject::default(), patience).await?;
    let violations = findings.violations;
    println!("{} orders, {violations} violations", findings.orders);
    Ok((violations > 0).then(|| {
        format!(
            "the last audit found {violations} violations: {:?}",
            findings.first
        )
    }))
}

fn write(args: &Run, reports: &[Report]) -> anyhow::Result<()> {
    let put = |file: &Option<PathBuf>, text: &dyn Fn() -> anyhow::Result<String>| {
        match file {
            Some(file) if file == Path::new("-") => println!("{}", text()?),
            Some(file) => {
                fs::write(file, text()?).with_context(|| format!("{}", file.display()))?;
            }
            None => {}
        }
        anyhow::Ok(())
    };
    put(&args.junit, &|| Ok(results::junit(reports)))?;
    put(&args.json, &|| Ok(serde_json::to_string_pretty(reports)?))?;
    put(&args.results, &|| Ok(results::table(reports)))?;
    put(&args.report, &|| {
        let drafts: Vec<_> = reports.iter().map(postmortem).collect();
        Ok(drafts.join("\n"))
    })
}

/// A failure outweighs what shows nothing, and that outweighs what passed.
fn worst(reports: &[Report]) -> u8 {
    let is = |verdict| reports.iter().any(|r| r.verdict == verdict);
    let codes = reports.iter().map(|r| r.verdict.exit());
    match is(Verdict::Failed) {
        true => Verdict::Failed.exit(),
        // Nothing ran: nothing was shown.
        false => codes.max().unwrap_or(Verdict::Aborted.exit()),
    }
}
