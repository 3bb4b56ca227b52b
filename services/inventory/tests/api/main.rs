//! The inventory service from outside, on SQLite and Postgres.
mod contention;
mod copy;
mod events;
mod metrics;
mod products;
mod reserve;
mod start;
mod stock;
mod support;
mod sweep;
