//! `seawall drill`: faults on purpose, graded. The engine is commander's; here is its command line.
mod args;
mod exercise;
mod run;

pub use args::Args;

use anyhow::Context as _;
use args::{Files, Lab, What};
use commander::drill::{
    catalogue::Catalogue,
    lab::{self, experiment},
};
use std::process::ExitCode;

/// Does what was asked.
///
/// # Errors
/// When it can't be begun; a failed drill is none.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::List(files) => list(&files),
        What::Check(files) => check(&files),
        What::Run(args) => run::run(&args).await,
        What::Break(args) => exercise::begin(&args).await,
        What::Hint(platform) => exercise::hint(&platform).await,
        What::Verify(args) => exercise::verify(&args).await,
        What::Restore(platform) => exercise::restore(&platform).await,
        What::Report(args) => exercise::report(&args).await,
        What::Lab(args) => try_ways(&args).await,
    }
}

fn list(files: &Files) -> anyhow::Result<ExitCode> {
    let catalogue = Catalogue::load(files.drills.as_deref())?;
    for drill in catalogue.all() {
        let gate = if drill.gate { "gate" } else { "" };
        println!("{:<18} {gate:<5} {}", drill.name, drill.title);
    }
    Ok(ExitCode::SUCCESS)
}

fn check(files: &Files) -> anyhow::Result<ExitCode> {
    let (catalogue, flaws) = Catalogue::check(files.drills.as_deref())?;
    for flaw in &flaws {
        eprintln!("{flaw}");
    }
    println!("{} drills, {} flaws", catalogue.all().len(), flaws.len());
    Ok(match flaws.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

async fn try_ways(args: &Lab) -> anyhow::Result<ExitCode> {
    let mut experiments = experiment::all()?;
    if let Some(name) = &args.name {
        experiments.retain(|e| e.name == *name);
        anyhow::ensure!(!experiments.is_empty(), "no experiment called {name}");
    }
    let mut results = Vec::new();
    for experiment in experiments {
        eprintln!("{}: {}", experiment.name, experiment.title);
        let outcomes = lab::run(&experiment).await?;
        results.push((experiment, outcomes));
    }
    let table = lab::table::table(&results);
    if let Some(file) = &args.results {
        std::fs::write(file, &table).with_context(|| format!("{}", file.display()))?;
    }
    print!("{table}");
    Ok(ExitCode::SUCCESS)
}
