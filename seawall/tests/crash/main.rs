//! Crashes: at every place that has a name, and at random; and bugs that must be found.
#![cfg(all(feature = "crash-points", feature = "seeded-bugs"))]
#[path = "../support/mod.rs"]
mod support;

mod mail;
mod points;
mod schedules;
