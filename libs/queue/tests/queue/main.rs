//! What the queue promises, each promise on both backends, through the public API alone.
mod batches;
mod common;
mod crash;
mod outage;
mod push;
mod worker;
