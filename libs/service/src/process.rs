//! From the command line to an exit code: settings, logs, runtime, signals.
use crate::{AppEnv, Config, healthcheck};
use clap::{
    Command, CommandFactory, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::{
    ffi::OsString,
    future::Future,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Told to every part of a service when it is time to stop.
#[derive(Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    serving: Arc<AtomicBool>,
}

impl Shutdown {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub fn cancel(&self) {
        self.token.cancel();
    }

    pub async fn cancelled(&self) {
        self.token.cancelled().await;
    }

    /// From now on there is something to drain; before, a signal ends the start at once.
    pub(crate) fn serving(&self) {
        self.serving.store(true, Ordering::Relaxed);
    }
}

/// The whole `main` of a service binary.
pub fn main<C, F>(name: &'static str, run: impl FnOnce(C, Shutdown) -> F) -> ExitCode
where
    C: Parser + AsRef<Config>,
    F: Future<Output = anyhow::Result<()>>,
{
    self::run(name, std::env::args_os(), run)
}

/// Like [`main`], with the arguments given: `args` starts with the program's name.
pub fn run<C, F>(
    name: &'static str,
    args: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(C, Shutdown) -> F,
) -> ExitCode
where
    C: Parser + AsRef<Config>,
    F: Future<Output = anyhow::Result<()>>,
{
    let parsed = command::<C>()
        .try_get_matches_from(args)
        .and_then(|matches| Ok((C::from_arg_matches(&matches)?, matches)));
    let (config, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return refuse::<C>(&error),
    };
    let settings = config.as_ref().clone();
    if matches.subcommand_name() == Some(healthcheck::NAME) {
        return healthcheck::run(name, settings.ops_listen);
    }
    if settings.identity_key().is_none() {
        eprintln!(
            "error: IDENTITY_SECRET (or IDENTITY_SECRET_FILE) must be set outside development"
        );
        return ExitCode::from(2);
    }
    if let Err(error) = sabotage::check(settings.app_env == AppEnv::Development) {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    let code = match start(name, &settings, run, config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{name} stopped: {error:#}");
            ExitCode::FAILURE
        }
    };
    telemetry::flush();
    code
}

/// The service's own settings, and what every service can do besides running.
fn command<C: CommandFactory>() -> Command {
    let healthcheck = Command::new(healthcheck::NAME)
        .about("Ask the replica that has these settings whether it is ready; exits with 0 if so");
    C::command()
        .version(telemetry::VERSION)
        .subcommand(healthcheck)
        .disable_help_subcommand(true)
}

fn start<C, F>(
    name: &'static str,
    settings: &Config,
    run: impl FnOnce(C, Shutdown) -> F,
    config: C,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    telemetry::init(name, settings.app_env.name(), &settings.telemetry)?;
    allow_many_files();
    let mut runtime = match settings.worker_threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime
        .worker_threads(settings.worker_threads.into())
        .enable_all()
        .build()?;
    let shutdown = Shutdown::new();
    let result = runtime.block_on(async {
        tokio::select! {
            result = run(config, shutdown.clone()) => result,
            () = signals(&shutdown) => Ok(()),
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Every connection is a file; the usual soft limit of 1024 is there for programs that use `select`.
/// <https://0pointer.net/blog/file-descriptor-limits.html>
fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files can't be raised");
    }
}

/// The first SIGTERM or SIGINT asks to stop; returns when the process should end right away:
/// at a second one, or when there is nothing to drain yet.
async fn signals(shutdown: &Shutdown) {
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    if shutdown.serving.load(Ordering::Relaxed) {
        shutdown.cancel();
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    }
}

/// A bad setting ends the start with one line that names its variable; `--help` prints as usual.
fn refuse<C: CommandFactory>(error: &clap::Error) -> ExitCode {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name))
            if matches!(
                error.kind(),
                ErrorKind::ValueValidation | ErrorKind::InvalidValue
            ) =>
        {
            name
        }
        _ => error.exit(),
    };
    let flag = argument.split_whitespace().next().unwrap_or(argument);
    let command = C::command();
    let setting = command
        .get_arguments()
        .find(|a| a.get_long().is_some_and(|long| flag == format!("--{long}")));
    let variable = setting
        .and_then(|a| a.get_env())
        .map_or(flag.into(), |env| env.to_string_lossy());
    let hidden = setting.is_some_and(clap::Arg::is_hide_env_values_set);
    let value = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) if !hidden => format!(" '{value}'"),
        _ => String::new(),
    };
    let why = match std::error::Error::source(error) {
        Some(source) => format!(": {source}"),
        None => valid_values(error),
    };
    let line = format!("error: {variable}: invalid value{value}{why}");
    // One line, whatever the value holds.
    eprintln!("{}", line.replace(char::is_control, " "));
    ExitCode::from(2)
}

fn valid_values(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => format!(": expected one of {}", values.join(", ")),
        _ => String::new(),
    }
}
