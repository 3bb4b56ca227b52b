//! The image service from outside, in a folder and on S3-compatible storage.
mod bombs;
mod form;
mod refused;
#[cfg(feature = "s3")]
mod s3;
mod samples;
mod seed;
mod serve;
mod start;
mod support;
mod upload;
