//! Logs, metrics and traces: once per process [`init`], once per service a [`registry`], once per
//! request a [`Context`] and a [`Span`], at the end [`flush`].
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let context = telemetry::Context::root();
//! let id = context.request_id().to_owned();
//! context.scope(async move {
//!     let current = telemetry::Context::current().expect("inside a scope");
//!     assert_eq!(current.request_id(), id);
//! }).await;
//! # });
//! ```
mod collector;
mod context;
mod log;
mod metrics;
pub mod openmetrics;
mod sampler;
mod span;
mod trace;

pub use context::Context;
pub use metrics::registry;
pub use span::{Kind, Span};
pub use trace::flush;

use std::io::IsTerminal as _;
use tracing_subscriber::{
    EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// The version of this build, as `build_info` and `--version` show it: that of the release
/// (`SEAWALL_VERSION` at build time), or of the source.
pub const VERSION: &str = match option_env!("SEAWALL_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// The commit this was built from (`SEAWALL_REVISION` at build time), or `unknown`.
pub const REVISION: &str = match option_env!("SEAWALL_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Where logs go and how they look.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// Lowest level that is logged: error, warn, info, debug, trace, or a filter such as `info,order=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", value_parser = filter)]
    pub log_level: String,
    /// Overrides LOG_LEVEL, for people used to it.
    #[arg(long, env = "RUST_LOG", hide = true, value_parser = filter)]
    pub rust_log: Option<String>,
    /// One JSON object a line, or text for people. `auto` is text on a terminal.
    #[arg(long, env = "LOG_FORMAT", default_value = "auto")]
    pub log_format: Format,
    #[command(flatten)]
    pub trace: trace::Settings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Auto,
    Json,
    Pretty,
}

fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|e| e.to_string())?;
    Ok(text.to_owned())
}

/// Starts logging for this process, as `service`; and traces, if they are to be exported. `environment`
/// is where it runs.
///
/// # Errors
/// When a subscriber is installed already, or the thread that exports can't be started.
pub fn init(
    service: &'static str,
    environment: &'static str,
    settings: &Settings,
) -> anyhow::Result<()> {
    let level = settings.rust_log.as_deref().unwrap_or(&settings.log_level);
    let json = match settings.log_format {
        Format::Auto => !std::io::stdout().is_terminal(),
        format => format == Format::Json,
    };
    let fmt = tracing_subscriber::fmt::layer();
    let fmt = if json {
        fmt.event_format(log::Json { service }).boxed()
    } else {
        fmt.compact().boxed()
    };
    tracing_subscriber::registry()
        .with(EnvFilter::try_new(level)?)
        .with(log::Count)
        .with(fmt)
        .try_init()?;
    trace::start(service, environment, &settings.trace)
}
