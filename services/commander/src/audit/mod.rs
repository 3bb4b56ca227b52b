//! The loss audit: [`collect`] reads back what is stored, as [`evidence`], and [`judge`] holds it
//! against the invariants of the order flow and the ledger of the clients.
pub mod collect;
pub mod evidence;
pub mod findings;
pub mod judge;
#[cfg(test)]
mod tests;
