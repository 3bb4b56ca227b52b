//! Commander from outside, on SQLite and Postgres, before a supervisor that does as told.
mod alerts;
#[cfg(feature = "kubernetes")]
mod cluster;
mod compose;
mod faults;
mod journal;
mod kill;
mod ops;
mod rollout;
mod safety;
mod start;
mod state;
mod support;
