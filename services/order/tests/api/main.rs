//! The order service from outside, on SQLite and Postgres.
mod cancel;
mod full;
mod inside;
mod inventory;
mod keys;
mod list;
mod metrics;
mod outage;
mod outbox;
mod owners;
mod place;
mod refused;
mod start;
mod support;
