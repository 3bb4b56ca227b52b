//! Calls as their callers see them: real sockets, replicas that behave as told.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod breaker;
mod failover;
mod retries;
mod support;
mod travel;
