//! The table of services: all that this binary knows about each. A new one is one entry.
use std::{ffi::OsString, process::ExitCode};

/// One service.
#[derive(Debug)]
pub struct Service {
    /// Its subcommand, and the stem of its replicas' names.
    pub name: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// Runs one replica in this process until it is told to leave; the arguments start with
    /// the program's name.
    pub main: fn(Vec<OsString>) -> ExitCode,
    /// Offset of the API port; None for the public port, which all replicas share.
    pub api: Option<u16>,
    /// Offset of the ops port.
    pub ops: u16,
    /// The services it calls.
    pub calls: &'static [&'static str],
    /// Its secrets, each made at the first start and passed as a file in `NAME_FILE`.
    pub secrets: &'static [&'static str],
    /// Whether it has a database of its own.
    pub database: bool,
    /// Whether it uses the queue.
    pub queue: bool,
    /// Whether it may use the supervisor's control socket.
    pub control: bool,
    /// When it leaves at the end: callers before those they call, stage by stage.
    pub stage: u8,
}

/// The service that keeps the accounts, the operator's among them.
pub const ACCOUNTS: &str = "auth";
/// The service that Alertmanager tells, and the operator reads.
pub const ALERTS: &str = "commander";

/// Every service, the front door first.
pub const SERVICES: [Service; 8] = [
    Service {
        name: "gateway",
        about: "The front door: console, routing, limits, retries",
        main: |args| service::run("gateway", args, gateway::run),
        api: None,
        ops: 10_007,
        calls: &[
            "order",
            "inventory",
            "notification",
            "auth",
            "image",
            "worker",
            "commander",
        ],
        secrets: &["IDENTITY_SECRET", "CHAOS_TOKEN"],
        database: false,
        queue: false,
        control: false,
        stage: 0,
    },
    Service {
        name: "order",
        about: "Orders and their outbox",
        main: |args| service::run("order", args, order::run),
        api: Some(0),
        ops: 10_000,
        calls: &["inventory"],
        secrets: &["ORDER_ID_SECRET", "IDENTITY_SECRET", "CHAOS_TOKEN"],
        database: true,
        queue: true,
        control: false,
        stage: 2,
    },
    Service {
        name: "inventory",
        about: "Products, stock and reservations",
        main: |args| service::run("inventory", args, inventory::run),
        api: Some(1),
        ops: 10_001,
        calls: &["order"],
        secrets: &["IDENTITY_SECRET", "CHAOS_TOKEN"],
        database: true,
        queue: true,
        control: false,
        stage: 3,
    },
    Service {
        name: "notification",
        about: "Mails, one per event",
        main: |args| service::run("notification", args, notification::run),
        api: Some(2),
        ops: 10_002,
        calls: &["order"],
        secrets: &["IDENTITY_SECRET", "CHAOS_TOKEN"],
        database: true,
        queue: true,
        control: false,
        stage: 1,
    },
    Service {
        name: "auth",
        about: "Accounts, logins and tokens",
        main: |args| service::run("auth", args, auth::run),
        api: Some(3),
        ops: 10_003,
        calls: &[],
        secrets: &["AUTH_KEY_SECRET", "IDENTITY_SECRET", "CHAOS_TOKEN"],
        database: true,
        queue: false,
        control: false,
        stage: 1,
    },
    Service {
        name: "image",
        about: "Pictures and their renditions",
        main: |args| service::run("image", args, image::run),
        api: Some(4),
        ops: 10_004,
        calls: &[],
        secrets: &["IDENTITY_SECRET", "CHAOS_TOKEN"],
        database: false,
        queue: false,
        control: false,
        stage: 3,
    },
    Service {
        name: "worker",
        about: "Background jobs and cron",
        main: |args| service::run("worker", args, worker::run),
        api: Some(5),
        // So that worker-1 is at 9091, where its metrics are in a container, too.
        ops: 4_091,
        calls: &["order", "inventory"],
        secrets: &["IDENTITY_SECRET", "CHAOS_TOKEN"],
        database: false,
        queue: true,
        control: false,
        stage: 1,
    },
    Service {
        name: "commander",
        about: "Every replica in view, kills on purpose, their journal",
        main: |args| service::run("commander", args, commander::run),
        api: Some(6),
        ops: 10_006,
        calls: &["gateway", "worker", "auth"],
        secrets: &["IDENTITY_SECRET", "CHAOS_TOKEN"],
        database: true,
        queue: false,
        control: true,
        stage: 1,
    },
];

/// The service called `name`.
pub fn find(name: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|service| service.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_that_are_named_exist() {
        assert!(find(ACCOUNTS).is_some() && find(ALERTS).is_some());
    }

    #[test]
    fn every_call_names_a_service() {
        for service in &SERVICES {
            for peer in service.calls {
                assert!(find(peer).is_some(), "{} calls {peer}", service.name);
            }
        }
    }
}
