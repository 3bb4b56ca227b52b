//! The shapes that services exchange, over HTTP and the queue. The only library with shop words.
//!
//! Fields are only ever added, and a reader ignores what it doesn't know: old and new replicas run
//! side by side during a rolling update. Requests from people are stricter, see the services.
pub mod auth;
mod email;
pub mod event;
pub mod image;
pub mod job;
pub mod notification;
pub mod order;
pub mod product;
pub mod reservation;

pub use email::is_email;

/// Queue of order events for inventory.
pub const INVENTORY_EVENTS: &str = "events-inventory";
/// Queue of order events for notification.
pub const NOTIFICATION_EVENTS: &str = "events-notification";
/// Queue of background jobs.
pub const JOBS: &str = "jobs";
