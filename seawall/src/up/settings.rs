//! The environment of each replica: what tells it where it is and whom it may call.
use super::{
    Args,
    data::{self, DataFolder},
};
use crate::{
    ports::{Place, url},
    services::{self, Service},
    tether,
};
use std::{env, ffi::OsString};

const OPERATOR_PASSWORD: &str = "OPERATOR_PASSWORD";
const PROMETHEUS_URL: &str = "PROMETHEUS_URL";

/// Variables for the replica at `place`, on top of this process's own environment, so that
/// LOG_LEVEL, TZ and the like pass through.
pub fn environment(
    args: &Args,
    data: &DataFolder,
    place: &Place,
) -> anyhow::Result<Vec<(String, OsString)>> {
    let service = place.service;
    let mut vars: Vec<(String, OsString)> = vec![
        (
            tether::PARENT_PID.into(),
            std::process::id().to_string().into(),
        ),
        (tether::REPLICA.into(), place.name().into()),
        ("APP_ENV".into(), "development".into()),
        ("LISTEN".into(), format!("127.0.0.1:{}", place.api).into()),
        (
            "OPS_LISTEN".into(),
            format!("127.0.0.1:{}", place.ops).into(),
        ),
        // In a rollout the new process listens beside the one it replaces.
        ("REUSE_PORT".into(), "true".into()),
        ("LOG_FORMAT".into(), "json".into()),
        ("CHAOS_ENABLED".into(), (!args.no_chaos).to_string().into()),
    ];
    if service.api.is_none() {
        // They share the public port; what tells them apart is their ops port.
        vars.push(ops_urls(args, service));
    }
    if service.control {
        let socket = control::socket(data.path());
        vars.push(("SUPERVISOR_SOCKET".into(), socket.into()));
        if let Some(prometheus) = data::prometheus(data.path()).filter(|_| !given(PROMETHEUS_URL)) {
            vars.push((PROMETHEUS_URL.into(), prometheus.into()));
        }
    }
    if !given("STOP_TIMEOUT") {
        // So that a replica which can't finish says so before it is killed.
        vars.push(("STOP_TIMEOUT".into(), "8s".into()));
    }
    if service.database {
        // One URL cannot serve several services, so another database has a name of its own.
        let own = variable(service, "DATABASE_URL");
        let file = data.sqlite(&format!("{}.db", service.name))?;
        let database = env::var_os(own).unwrap_or_else(|| file.into());
        vars.push(("DATABASE_URL".into(), database));
    }
    if service.name == "image" && !given("IMAGE_STORE_URL") {
        vars.push(("IMAGE_STORE_URL".into(), data.folder("images")?.into()));
    }
    if service.queue && !given("REDIS_URL") {
        vars.push(("QUEUE_DATABASE_URL".into(), data.sqlite("queue.db")?.into()));
    }
    for name in service.secrets {
        let variable = format!("{name}_FILE");
        if !given(name) && !given(&variable) {
            let file = name.trim_end_matches("_SECRET").to_lowercase();
            vars.push((variable, data.secret(&file)?.into()));
        }
    }
    if service.name == services::ACCOUNTS
        && let Some(password) = operator_password(data)?
    {
        vars.push((OPERATOR_PASSWORD.into(), password.into()));
    }
    for peer in service.calls {
        let peer = services::find(peer).expect("a test checks the table");
        if peer.api.is_none() {
            // Metrics are for the inside; loads and drills come as people do.
            vars.push(ops_urls(args, peer));
            let public = url(args.layout.port);
            vars.push((variable(peer, "URLS"), public.into()));
            continue;
        }
        let urls = join(args.layout.places_of(peer).map(|place| url(place.api)));
        vars.push((variable(peer, "URLS"), urls));
    }
    Ok(vars)
}

/// The operator's password, as long as it is ours to tell.
pub fn operator_password(data: &DataFolder) -> anyhow::Result<Option<String>> {
    if given(OPERATOR_PASSWORD) || given("OPERATOR_PASSWORD_FILE") {
        return Ok(None);
    }
    data.operator_password()
}

fn ops_urls(args: &Args, service: &'static Service) -> (String, OsString) {
    let urls = args.layout.places_of(service).map(|place| url(place.ops));
    (variable(service, "OPS_URLS"), join(urls))
}

/// Such as `ORDER_URLS`.
fn variable(service: &Service, suffix: &str) -> String {
    format!("{}_{suffix}", service.name.to_uppercase())
}

fn join(urls: impl Iterator<Item = String>) -> OsString {
    urls.collect::<Vec<_>>().join(",").into()
}

fn given(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}
