//! Bad weather: the whole platform while the servers it stands on stop, hang, crash, lose everything or
//! are full. One test at a time, since each runs a platform under load.
#[path = "../support/mod.rs"]
mod support;

mod disk;
mod postgres;
mod redis;
mod servers;
