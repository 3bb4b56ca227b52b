//! Load on the platform through its front door, and what its clients know about each request.
//!
//! [`plan`] settles what is sent, [`drive`] sends it over [`client`] connections (each order as
//! [`attempt`] says), [`tally`] and [`ledger`] keep what came back.
pub mod attempt;
pub mod client;
pub mod drive;
pub mod errands;
pub mod generator;
pub mod ledger;
pub mod plan;
pub mod samples;
pub mod schedule;
pub mod shop;
pub mod tally;
