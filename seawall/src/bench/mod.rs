//! `seawall bench`: load on the running platform, what it took, and whether anything was lost.
//!
//! The load and the audit are those of `commander`, whose drills use them too; [`usage`] measures
//! what the load cost, and [`orders`] puts all together.
mod args;
mod jobs;
mod kill;
mod machine;
mod orders;
mod report;
mod slice;
mod table;
#[cfg(test)]
mod tests;
mod usage;

pub use args::{Args, duration};

use anyhow::Context as _;
use commander::{
    audit::{collect, findings},
    load::{attempt, client, drive, ledger, plan, shop, tally},
};
use control::Client;
use report::Report;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{path::Path, process::ExitCode};

/// Measures, prints the report, and tells by the exit code whether the platform did well.
///
/// # Errors
/// When nothing could be measured.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    raise_file_limit();
    let report = measure(&args).await?;
    publish(&report).context("writing the report")?;
    Ok(match report.faults().is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn measure(args: &Args) -> anyhow::Result<Report> {
    if let Some(what) = &args.what {
        return jobs::run(args, what).await;
    }
    if let Some(time) = args.idle {
        let mut report = Report::new(args);
        let control = Client::of(&args.platform.data);
        report.idle = Some(usage::idle(&control, time).await?);
        return Ok(report);
    }
    if args.audit_only {
        let mut report = Report::new(args);
        let mut shop = args.platform.shop().await?;
        let subject = collect::Subject::default();
        let findings = collect::settled_audit(&mut shop, subject, args.patience()).await?;
        report.set_audit(Ok(findings));
        return Ok(report);
    }
    orders::run(args).await
}

/// Every connection is a file; the usual soft limit of 1024 would show as refused connections.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Where it can't be raised, fewer connections have to do.
    let _ = setrlimit(Resource::Nofile, raised);
}

fn publish(report: &Report) -> anyhow::Result<()> {
    let json = || serde_json::to_string_pretty(report);
    match &report.args.platform.json {
        Some(file) if file == Path::new("-") => println!("{}", json()?),
        Some(file) => {
            std::fs::write(file, json()?).with_context(|| format!("{}", file.display()))?;
            print!("{}", table::Table(report));
        }
        None => print!("{}", table::Table(report)),
    }
    Ok(())
}
