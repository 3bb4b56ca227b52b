//! The console in a real browser, before a real platform. Needs chromium and chromedriver; `ci/test` installs
//! them where it can.
mod account;
mod alerts;
mod away;
mod browser;
mod chaos;
mod jobs;
mod looks;
mod ops;
mod shop;
mod stage;
#[path = "../support/mod.rs"]
mod support;
