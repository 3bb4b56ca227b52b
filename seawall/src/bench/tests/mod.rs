//! Black-box runs of the bench against a shop in memory that can be told to go wrong.
mod fake_shop;
mod kills;
mod runs;
