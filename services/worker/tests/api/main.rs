//! The worker from outside, with its queue in SQLite and in Redis.
mod cron;
mod dead;
mod kinds;
mod limits;
mod list;
mod outage;
mod peers;
mod start;
mod submit;
mod support;
