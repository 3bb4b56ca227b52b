//! What the queue promises, each promise on both backends, through the public API alone.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod batches;
mod common;
mod crash;
mod gate;
mod outage;
mod push;
mod settings;
mod worker;
