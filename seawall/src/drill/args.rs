//! The command line of `seawall drill`.
use crate::operator;
use clap::{Args as ClapArgs, Subcommand};
use commander::{drill::site::Site, load::shop::Login};
use std::{path::PathBuf, sync::Arc};

/// Break the running platform on purpose, and see by numbers whether it holds.
///
/// Exit code of `run`: 0 passed, 1 failed, 2 nothing was shown (unhealthy to begin with, the fault could
/// not be injected or not be seen, or the run was called off).
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Subcommand)]
pub enum What {
    /// Show all drills
    List(Files),
    /// Check the files of drills; says file and line of each flaw
    Check(Files),
    /// Run a drill, or all of them, and give the verdict
    Run(Run),
    /// Break the platform and leave it to you to find out what is wrong
    Break(Break),
    /// Ask for the next hint
    Hint(Platform),
    /// Say what was wrong, and have the platform looked at
    Verify(Verify),
    /// Take back whatever is broken and end the exercise
    Restore(Platform),
    /// Print the postmortem draft of a run of commander, the last one when not named
    Report(Reporting),
    /// Try ways to call failing backends, and measure what each gets out of it
    Lab(Lab),
}

/// Which drills there are.
#[derive(Debug, Clone, ClapArgs)]
pub struct Files {
    /// Take the drills from this folder instead of those built in
    #[arg(long, env = "DRILLS", value_name = "DIR")]
    pub drills: Option<PathBuf>,
}

/// Where the platform is.
#[derive(Debug, Clone, ClapArgs)]
pub struct Platform {
    /// The gateway
    #[arg(long, default_value = "http://localhost:8080")]
    pub url: String,
    /// Data folder of `seawall up`, whose owner is an operator
    #[arg(
        long,
        env = "SEAWALL_DATA",
        default_value = ".seawall",
        value_name = "DIR"
    )]
    pub data: PathBuf,
    /// Password of `operator`; not needed on the machine of a platform that `seawall up` runs
    #[arg(
        long,
        env = "OPERATOR_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub operator_password: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    /// Name of the drill, or `all`
    #[arg(required_unless_present = "hidden")]
    pub name: Option<String>,
    /// Of all, those that must pass before a release
    #[arg(long)]
    pub gate: bool,
    /// Decides victims and load; drawn and printed when left out
    #[arg(long)]
    pub seed: Option<u64>,
    /// Do not tell which drill it is before its end; without a name the seed picks one
    #[arg(long)]
    pub hidden: bool,
    /// Wait for the expected alerts, and fail without them
    #[arg(long)]
    pub alerts: bool,
    /// Prometheus, for the time until an alert fires; that of `seawall up` when left out
    #[arg(long, env = "PROMETHEUS_URL", value_name = "URL")]
    pub prometheus: Option<String>,
    /// Alertmanager, where there is no Prometheus to ask
    #[arg(long, env = "ALERTMANAGER_URL", value_name = "URL")]
    pub alertmanager: Option<String>,
    /// Write JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write all reports as JSON to this file; `-` prints them
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the postmortem draft to this file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write a table of all runs to this file
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    #[command(flatten)]
    pub files: Files,
    #[command(flatten)]
    pub platform: Platform,
}

#[derive(Debug, ClapArgs)]
pub struct Break {
    /// Name of the drill
    #[arg(required_unless_present = "hidden")]
    pub name: Option<String>,
    /// Decides victims, and the drill where it is hidden
    #[arg(long)]
    pub seed: Option<u64>,
    /// Do not tell which drill it is before it is solved or restored
    #[arg(long)]
    pub hidden: bool,
    #[command(flatten)]
    pub platform: Platform,
}

#[derive(Debug, ClapArgs)]
pub struct Verify {
    /// The root cause, in a word or two
    #[arg(long)]
    pub answer: Option<String>,
    #[command(flatten)]
    pub platform: Platform,
}

#[derive(Debug, ClapArgs)]
pub struct Reporting {
    /// Id of the run
    pub id: Option<String>,
    #[command(flatten)]
    pub platform: Platform,
}

#[derive(Debug, ClapArgs)]
pub struct Lab {
    /// One experiment only
    pub name: Option<String>,
    /// Write the tables to this file
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
}

impl Platform {
    /// The platform as a drill sees it.
    pub fn site(&self) -> Site {
        Site {
            url: self.url.trim_end_matches('/').to_owned(),
            login: self.login(),
            prometheus: None,
            alertmanager: None,
        }
    }

    fn login(&self) -> Login {
        let platform = Arc::new(self.clone());
        Arc::new(move || {
            let platform = platform.clone();
            Box::pin(async move {
                let url = platform.url.trim_end_matches('/');
                let password = platform.operator_password.as_deref();
                operator::token(url, &platform.data, password).await
            })
        })
    }
}
