//! The binary: settings, start, stop.
