//! Prints the headers with which the gateway would pass on a request of some user, for `curl -H @-` straight
//! to a service in development:
//!
//! `cargo run -p service --example identity`
use chrono::Utc;
use service::{CLIENT_ADDRESS, IDENTITY, Identity, IdentityKey};
use std::net::{IpAddr, Ipv4Addr};
use uuid::Uuid;

fn main() -> anyhow::Result<()> {
    let (key, now) = (IdentityKey::new(b"development"), Utc::now());
    if let Some(identity) = key.identity(Identity::User(Uuid::now_v7()), now) {
        println!("{IDENTITY}: {}", identity.to_str()?);
    }
    let address = key.client_address(IpAddr::V4(Ipv4Addr::LOCALHOST), now);
    println!("{CLIENT_ADDRESS}: {}", address.to_str()?);
    Ok(())
}
