//! The one binary: `up` runs the whole platform, each service is a subcommand of its own.
mod bench;
mod cli;
mod crash;
mod doctor;
mod drill;
mod http;
mod operator;
mod ports;
mod services;
mod tether;
mod up;

use std::{ffi::OsString, process::ExitCode};

fn main() -> ExitCode {
    if let Err(error) = tether::to_supervisor() {
        return fail(&error);
    }
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|first| first == tether::BECOME).is_some() {
        return fail(&tether::become_other(args));
    }
    // Services read their own command line, so that theirs is the whole of `--help`.
    if let Some(service) = args.next().and_then(|name| services::find(name.to_str()?)) {
        let program = OsString::from(format!("seawall {}", service.name));
        return (service.main)([program].into_iter().chain(args).collect());
    }
    // One thread, and it lives as long as the process: children die with the thread that
    // started them (see `tether`).
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(cli::run()));
    done.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("seawall: {error:#}");
    ExitCode::FAILURE
}
