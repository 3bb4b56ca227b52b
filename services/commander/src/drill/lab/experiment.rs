//! The files of the lab: how many backends, what is wrong with them, how many calls.
use crate::drill::catalogue::{Flaw, flaw};
use anyhow::Context as _;
use serde::Deserialize;
use std::path::Path;

/// One experiment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    pub name: String,
    pub title: String,
    pub backends: u16,
    /// How many of them have the fault, the first ones.
    pub hit: u16,
    /// Calls per second.
    pub rate: f64,
    pub seconds: f64,
    /// An answer that comes later is of no use.
    pub patience_ms: u64,
    /// What an answer takes.
    pub work_ms: u64,
    /// How many a backend works on at once; others wait there.
    pub slots: usize,
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    pub latency_ms: u64,
    /// Answers 503, in percent.
    pub error_percent: u32,
}

const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/lab.rs"));

/// All that are built in.
///
/// # Errors
/// When one is not an experiment.
pub fn all() -> anyhow::Result<Vec<Experiment>> {
    let read = |(name, text): &(&str, &str)| parse(name, text).context("drills/lab");
    BUILT_IN.iter().map(read).collect()
}

/// # Errors
/// What is wrong with it, and where.
pub fn parse(file: &str, text: &str) -> Result<Experiment, Flaw> {
    let experiment: Experiment = toml::from_str(text).map_err(|error| flaw(file, text, &error))?;
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str());
    let sound = [
        (
            stem == Some(&experiment.name),
            "`name` is not that of the file",
        ),
        (experiment.backends > 0, "needs a backend"),
        (
            experiment.hit <= experiment.backends,
            "`hit` is more than there are",
        ),
        (
            (1.0..=2000.0).contains(&experiment.rate),
            "`rate` is from 1 to 2000",
        ),
        (
            (1.0..=60.0).contains(&experiment.seconds),
            "`seconds` is from 1 to 60",
        ),
        (experiment.slots > 0, "needs a slot"),
    ];
    match sound.into_iter().find(|(holds, _)| !holds) {
        Some((_, message)) => Err(Flaw {
            file: file.to_owned(),
            line: 1,
            message: message.to_owned(),
        }),
        None => Ok(experiment),
    }
}
