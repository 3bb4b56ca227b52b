//! The command line: which subcommand does what.
use crate::{bench, crash, doctor, drill, services::SERVICES, up};
use clap::{Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::process::ExitCode;

/// A small online shop as microservices, and the practice range around it.
///
/// Without a subcommand the whole platform starts on this machine, as with `up`.
#[derive(Debug, Parser)]
#[command(name = "seawall", args_conflicts_with_subcommands = true)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    up: up::Args,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Start the whole platform on this machine and keep it running (the default)
    Up(up::Args),
    /// Check a running platform from end to end and say what to do about each failure
    Doctor(doctor::Args),
    /// Load a running platform, measure it, and audit that no order was lost
    Bench(Box<bench::Args>),
    /// Break a running platform on purpose and see by numbers whether it holds
    Drill(Box<drill::Args>),
    /// Crash a platform of its own at random and audit that nothing was lost
    Crash(crash::Args),
}

/// Parses the command line and does what it asks.
pub async fn run() -> anyhow::Result<ExitCode> {
    let cli = Cli::from_arg_matches(&command().get_matches())?;
    match cli.task.unwrap_or(Task::Up(cli.up)) {
        Task::Up(args) => up::run(args).await,
        Task::Doctor(args) => doctor::run(args).await,
        Task::Bench(args) => bench::run(*args).await,
        Task::Drill(args) => drill::run(*args).await,
        Task::Crash(args) => crash::run(args).await,
    }
}

/// The root command; the services are in it for `--help` only, `main` runs them.
fn command() -> Command {
    let version = format!("{} ({})", telemetry::VERSION, telemetry::REVISION);
    let services = SERVICES
        .iter()
        .map(|service| Command::new(service.name).about(service.about));
    // Once per process, so that leaking it costs nothing.
    Cli::command()
        .version(&*version.leak())
        .subcommands(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn up_is_the_default() {
        let cli = Cli::parse_from(["seawall", "--replicas", "3"]);
        assert!(cli.task.is_none());
        assert_eq!(cli.up.layout.replicas, 3);
    }

    #[test]
    fn help_lists_every_service() {
        let help = command().render_help().to_string();
        for service in SERVICES {
            assert!(help.contains(service.about), "{} is missing", service.name);
        }
    }
}
