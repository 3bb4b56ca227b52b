//! Ops listeners of replicas, real ones, before a supervisor that knows them.
use crate::support::Supervisor;
use axum::Router;
use serde_json::Value;
use service::{Config, Faults, Server, Shutdown, testing::free_port};
use std::net::SocketAddr;

pub const TOKEN: &str = "the token of all";

/// A replica that does nothing but break; dropped, it stops.
pub struct Replica {
    pub name: String,
    pub ops: SocketAddr,
    pub faults: Faults,
    shutdown: Shutdown,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Replica {
    /// With a database and a queue, if it has them.
    pub fn start(name: &str, database: bool, queue: bool) -> Self {
        Self::start_at(name, free_port(), database, queue)
    }

    pub fn start_at(name: &str, ops: SocketAddr, database: bool, queue: bool) -> Self {
        let config = Config {
            ops_listen: ops,
            chaos_token: Some(TOKEN.parse().expect("a token")),
            drain_time: std::time::Duration::ZERO,
            ..Config::defaults()
        };
        let faults = Faults::new(&config);
        if database {
            drop(faults.database());
        }
        if queue {
            drop(faults.queue());
        }
        let server = Server::new(free_port(), config, telemetry::registry());
        let server = server.faults(faults.clone());
        let shutdown = Shutdown::new();
        tokio::spawn(server.serve(Router::new(), shutdown.clone()));
        Self {
            name: name.to_owned(),
            ops,
            faults,
            shutdown,
        }
    }

    /// Waits until it listens.
    pub async fn listening(self) -> Self {
        crate::support::eventually("it listens", async || {
            tokio::net::TcpStream::connect(self.ops).await.is_ok()
        })
        .await;
        self
    }
}

/// Two replicas of each service: order has both dependencies, worker a queue, image neither.
pub async fn fleet(supervisor: &Supervisor) -> Vec<Replica> {
    let mut fleet = Vec::new();
    for (service, database, queue) in [
        ("order", true, true),
        ("worker", false, true),
        ("image", false, false),
    ] {
        for number in [1, 2] {
            let name = format!("{service}-{number}");
            let replica = Replica::start(&name, database, queue).listening().await;
            let ops = format!("http://{}", replica.ops);
            supervisor.set(&name, |known| known.ops = ops);
            fleet.push(replica);
        }
    }
    fleet
}

/// The names of those that something is true of.
pub fn which(fleet: &[Replica], is: impl Fn(&Replica) -> bool) -> Vec<&str> {
    let those = fleet.iter().filter(|replica| is(replica));
    those.map(|replica| replica.name.as_str()).collect()
}

/// The replicas that items are at, sorted.
pub fn places(items: &Value) -> Vec<String> {
    let items = items["items"].as_array().expect("items");
    let name = |item: &Value| item["replica"].as_str().expect("a replica").to_owned();
    let mut names: Vec<_> = items.iter().map(name).collect();
    names.sort_unstable();
    names
}
