//! The gateway from outside, before services that answer as told.
mod console;
mod openapi;
mod proxy;
mod replicas;
mod routes;
mod shed;
mod start;
mod status;
mod support;
