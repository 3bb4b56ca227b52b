//! Calls from one service to the replicas of another, so that a dead, slow or failing replica
//! costs the caller nothing: pooled connections, balancing, deadlines, retries under a budget,
//! a circuit breaker per replica.
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! let mut registry = prometheus_client::registry::Registry::default();
//! let metrics = client::Metrics::register(&mut registry);
//! let urls = "http://127.0.0.1:5001,http://127.0.0.1:5101".parse().expect("valid URLs");
//! let inventory = client::Upstream::new("inventory", &urls, client::Settings::default(), &metrics);
//!
//! let products: serde_json::Value = inventory.get("/products").await?;
//! # let _ = products; Ok(()) }
//! ```
mod balance;
mod breaker;
mod budget;
mod call;
mod connection;
mod ejection;
mod endpoint;
mod error;
mod headers;
mod json;
mod metrics;
mod once;
mod pool;
mod resolve;
mod retry;
mod room;
mod settings;
mod upstream;
mod urls;
mod window;

pub use call::{Call, Replay};
pub use error::{Error, Rejection};
pub use metrics::Metrics;
pub use once::once;
pub use settings::Settings;
pub use upstream::Upstream;
pub use urls::{InvalidUrls, Urls};
