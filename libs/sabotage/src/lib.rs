//! Ways to break this program on purpose that no ordinary build has: both features are for tests.
//!
//! ```
//! sabotage::crash_point!("order.after_commit"); // without the feature: nothing at all
//! assert!(!sabotage::has(sabotage::Bug::RelayOff));
//! ```
mod bug;
#[cfg(feature = "crash-points")]
mod crash;

pub use bug::{Bug, check, has};
#[cfg(feature = "crash-points")]
pub use crash::{DIR, POINTS, hit};

/// A place where the process aborts if it was told to, on a condition if one is given: see
/// `docs/crash-testing.md`.
#[cfg(feature = "crash-points")]
#[macro_export]
macro_rules! crash_point {
    ($name:literal $(, $when:expr)?) => {
        if true $(&& $when)? {
            $crate::hit($name);
        }
    };
}

/// A place where the process aborts if it was told to; in this build it can't be.
#[cfg(not(feature = "crash-points"))]
#[macro_export]
macro_rules! crash_point {
    ($name:literal $(, $when:expr)?) => {};
}
