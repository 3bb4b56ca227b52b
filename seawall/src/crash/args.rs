//! The command line of `seawall crash`.
use crate::ports::Layout;
use std::path::PathBuf;

/// Crash a platform of its own at random, schedule after schedule, and audit each: nothing may be
/// lost, doubled or oversold.
///
/// A schedule follows from its seed: what a few buyers do, and which replicas are killed, drained or
/// frozen meanwhile. Schedule I of a run has the seed `--seed` + I, so `--schedules 1 --seed N`
/// repeats the one that failed. The run ends at the first that does, with exit code 1.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub layout: Layout,
    /// How many schedules
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub schedules: u32,
    /// Seed of the first one; drawn and printed when left out
    #[arg(long)]
    pub seed: Option<u64>,
    /// Run on this Postgres, in databases made for the run and dropped after it [default: SQLite]
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// Run on this Redis, which must have nothing else to do [default: SQLite]
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// Folder of the run's data, kept for a look; a temporary one when left out
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Run the platform with this bug
    #[cfg(feature = "seeded-bugs")]
    #[arg(long, value_name = "NAME")]
    pub bug: Option<String>,
    /// Succeed only if a schedule fails
    #[arg(long)]
    pub expect_failure: bool,
    /// Print every schedule
    #[arg(long)]
    pub verbose: bool,
}

impl Args {
    /// The bug the platform runs with.
    pub fn bug(&self) -> Option<&str> {
        #[cfg(feature = "seeded-bugs")]
        return self.bug.as_deref();
        #[cfg(not(feature = "seeded-bugs"))]
        None
    }
}
