//! Drills: a fault on purpose, under load, with a verdict.
//!
//! A [`file`] says what is broken and what must hold; the [`catalogue`] has them all. From the seed
//! comes the [`plan`]; [`course`] runs it against a platform through its public API ([`ops`]):
//! steady state, fault ([`inject`]), recovery, audit. [`judge`] holds what was [`measure`]d
//! against the pass marks, and the [`report`] tells it all. Commander and `seawall drill` run the same.
pub mod alerts;
pub mod catalogue;
pub mod course;
pub mod file;
mod inject;
mod judge;
pub mod lab;
pub mod measure;
pub mod ops;
pub mod plan;
pub mod postmortem;
pub mod progress;
pub mod report;
pub mod results;
pub mod site;
#[cfg(test)]
mod tests;
pub mod value;
