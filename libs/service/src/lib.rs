//! What every HTTP service does the same way: start, serve, answer errors, drain, stop.
//!
//! A service calls [`main`] from its binary, builds a router wrapped by [`layers`], and hands it
//! to a [`Server`]:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! #[derive(clap::Parser)]
//! struct Config {
//!     #[arg(long, env = "LISTEN", default_value = "127.0.0.1:5000")]
//!     listen: std::net::SocketAddr,
//!     #[command(flatten)]
//!     service: service::Config,
//! }
//!
//! impl AsRef<service::Config> for Config {
//!     fn as_ref(&self) -> &service::Config {
//!         &self.service
//!     }
//! }
//!
//! async fn run(config: Config, shutdown: service::Shutdown) -> anyhow::Result<()> {
//!     let mut registry = telemetry::registry();
//!     let router = Router::new().route("/tea", get(|| async { "hot" }));
//!     let router = service::layers(router, &config.service, &mut registry);
//!     service::Server::new(config.listen, config.service, registry).serve(router, shutdown).await
//! }
//! fn main() -> std::process::ExitCode {
//!     service::main("tea", run)
//! }
//! ```
mod background;
mod config;
mod extract;
pub mod faults;
mod healthcheck;
mod http1;
mod idempotency;
mod identity;
mod layers;
mod metrics;
mod ops;
mod page;
mod problem;
mod process;
mod readiness;
mod server;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;

pub use background::Background;
pub use config::{AppEnv, Config, Secret};
pub use extract::{Json, Path, Query};
pub use faults::Faults;
pub use idempotency::IdempotencyKey;
pub use identity::{
    Account, CLIENT_ADDRESS, ClientAddress, IDENTITY, Identity, IdentityKey, Operator, Scope,
};
pub use layers::{Uploads, layers, layers_with};
pub use page::{Cursor, Page, Place};
pub use problem::{Pointer, Problem, ProblemBody};
pub use process::{Shutdown, main, run};
pub use readiness::Readiness;
pub use server::{PeerAddress, Server};
