//! The auth service from outside, on both databases.
mod guesses;
mod keys;
mod passwords;
mod profile;
mod register;
mod sessions;
mod start;
mod support;
