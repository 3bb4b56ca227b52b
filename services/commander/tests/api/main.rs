//! Commander from outside, on SQLite and Postgres, before a supervisor that does as told.
mod journal;
mod kill;
mod rollout;
mod safety;
mod start;
mod state;
mod support;
