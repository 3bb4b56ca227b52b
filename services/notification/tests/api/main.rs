//! The notification service from outside, on SQLite and Postgres.
mod claims;
mod events;
mod list;
mod mailbox;
mod mails;
mod sink;
mod start;
mod support;
