//! The gateway from outside, before services that answer as told.
mod console;
mod identity;
mod images;
mod live;
mod openapi;
mod proxy;
mod replicas;
mod routes;
mod shed;
mod start;
mod status;
mod support;
mod trace;
