//! Who listens where on this machine, and who is in the way.
use crate::services::{SERVICES, Service};
use anyhow::bail;
use procfs::{net::TcpState, process::FDTarget};
use std::{
    collections::HashMap,
    fmt, io,
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

/// Ports between two replicas of one service.
const STRIDE: u16 = 100;
/// From the ops port of the first replica to that of one that stands in during a rollout.
pub const STAND_IN: u16 = 50;

/// How many replicas there are, and where they listen (on 127.0.0.1 alone).
#[derive(Debug, Clone, clap::Args)]
pub struct Layout {
    /// Replicas of every service
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub replicas: u16,
    /// Public port: console and API
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// First of the ports inside
    ///
    /// Replica R of a service has its API at this + the service's offset + 100 × (R - 1), and its
    /// ops listener (probes, metrics) 10000 higher; worker-1 has it 4091 higher, at 9091.
    #[arg(long, value_name = "PORT", env = "SEAWALL_BASE_PORT", default_value_t = 5000, value_parser = clap::value_parser!(u16).range(1024..=45_000))]
    pub base_port: u16,
}

/// One replica of one service, and its two ports.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its service.
    pub service: &'static Service,
    /// Counted from 1.
    pub replica: u16,
    /// Port of the API.
    pub api: u16,
    /// Port of the ops listener.
    pub ops: u16,
}

impl Place {
    /// `SERVICE-N`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.service.name, self.replica)
    }
}

/// Base URL of a port of this machine.
pub fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Layout {
    /// Every replica, in the order of the table of services.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        SERVICES.iter().flat_map(|service| self.places_of(service))
    }

    /// The replicas of one service.
    pub fn places_of(&self, service: &'static Service) -> impl Iterator<Item = Place> {
        (1..=self.replicas).map(move |replica| {
            let first = self.base_port + STRIDE * (replica - 1);
            Place {
                service,
                replica,
                api: service.api.map_or(self.port, |offset| first + offset),
                ops: first + service.ops,
            }
        })
    }

    /// Refuses ports that two replicas would share, and those somebody listens on.
    pub async fn check(&self) -> anyhow::Result<()> {
        let mut owners = HashMap::new();
        for place in self.places() {
            let api = (place.api, place.service.api.map(|_| place.replica));
            for (port, replica) in [api, (place.ops, Some(place.replica))] {
                // The public port is the one that replicas do share.
                let owner = (place.service.name, replica);
                let other = *owners.entry(port).or_insert(owner);
                if other != owner {
                    let (one, two) = (other.0, owner.0);
                    bail!(
                        "{one} and {two} would both get port {port}: choose another --port or --base-port"
                    );
                }
            }
        }
        let mut ports: Vec<u16> = owners.into_keys().collect();
        ports.sort_unstable();
        for port in ports {
            if let Err(error) = free(port).await {
                bail!("{}", self.taken(port, &error));
            }
        }
        Ok(())
    }

    fn taken(&self, port: u16, error: &io::Error) -> String {
        let (flag, example) = if port == self.port {
            ("--port", self.port.wrapping_add(1000).max(1024))
        } else {
            ("--base-port", self.base_port.min(30_000) + 1000)
        };
        let reason = match holder(port) {
            Some(holder) => format!("port {port} is taken by {holder}: stop it"),
            None => format!("cannot listen on port {port} ({error}): free it"),
        };
        format!("{reason}, or choose another with {flag} {example}")
    }
}

/// Waits a moment for `port`: the children of a supervisor that was just killed may still be
/// on their way out.
pub async fn free(port: u16) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(()),
            Err(error) if tries == 10 || error.kind() != io::ErrorKind::AddrInUse => {
                return Err(error);
            }
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A process that listens on a port.
#[derive(Debug, PartialEq)]
pub struct Holder {
    /// Its process id.
    pub pid: i32,
    /// Its command.
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} ({})", self.pid, self.command)
    }
}

/// Who listens on `port`, where `/proc` lets us see it.
pub fn holder(port: u16) -> Option<Holder> {
    let sockets = [procfs::net::tcp(), procfs::net::tcp6()];
    let inode =
        sockets.into_iter().flatten().flatten().find(|socket| {
            socket.state == TcpState::Listen && socket.local_address.port() == port
        })?;
    let socket = FDTarget::Socket(inode.inode);
    let mut processes = procfs::process::all_processes().ok()?.flatten();
    let process = processes.find(|process| {
        let open = process.fd().into_iter().flatten();
        open.flatten().any(|fd| fd.target == socket)
    })?;
    let command = process.cmdline().unwrap_or_default().join(" ");
    Some(Holder {
        pid: process.pid,
        command: command.chars().take(60).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(port: u16, base_port: u16) -> Layout {
        Layout {
            replicas: 2,
            port,
            base_port,
        }
    }

    /// Dashboards, scrape targets and documentation name these ports.
    #[test]
    fn well_known_ports() {
        let ports = |name: &str| {
            let layout = layout(8080, 5000);
            let place = layout.places().find(|p| p.name() == name).expect(name);
            (place.api, place.ops)
        };
        assert_eq!(ports("gateway-1"), (8080, 15007));
        assert_eq!(ports("gateway-2"), (8080, 15107));
        assert_eq!(ports("order-1"), (5000, 15000));
        assert_eq!(ports("inventory-2"), (5101, 15101));
        assert_eq!(ports("notification-1"), (5002, 15002));
        assert_eq!(ports("image-1"), (5004, 15004));
        assert_eq!(ports("worker-1"), (5005, 9091));
        assert_eq!(ports("worker-2"), (5105, 9191));
        assert_eq!(ports("commander-1"), (5006, 15006));
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_holder() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = taken.local_addr().expect("address").port();
        let error = layout(port, 20_000).check().await.expect_err("taken");
        let error = error.to_string();
        assert!(error.contains(&format!("port {port} ")), "{error}");
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert!(error.contains("--port"), "{error}");
    }

    #[tokio::test]
    async fn one_port_for_two_services_is_refused() {
        let error = layout(5000, 5000).check().await.expect_err("same port");
        let expected = "gateway and order would both get port 5000";
        assert!(error.to_string().contains(expected), "{error}");
    }
}
