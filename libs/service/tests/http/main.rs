//! A real server on real sockets, seen from outside: byte by byte where that matters.
mod answers;
mod drain;
mod faults;
mod framing;
mod limits;
mod ops;
mod slow;
mod support;
