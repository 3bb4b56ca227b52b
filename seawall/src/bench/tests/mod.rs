//! Black-box runs of the bench against a shop in memory that can be told to go wrong, and the
//! audit against evidence made by hand.
mod audit;
mod fake_shop;
mod kills;
mod runs;
