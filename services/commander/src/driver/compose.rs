//! Containers of a compose file: found by the names of their services, watched by their ops listeners.
use super::zone;
use crate::{
    config::OpsUrl,
    replica::{Replica, State},
};
use chrono::{DateTime, Utc};
use client::Call;
use futures::future::join_all;
use http::{Method, uri::PathAndQuery};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A container that takes longer isn't ready. Longer than its own checks take.
const PATIENCE: Duration = Duration::from_secs(1);
/// A container whose address is gone for so long was taken away.
const FORGET: Duration = Duration::from_secs(60);
/// How often a watch looks.
const LOOK: Duration = Duration::from_secs(1);
/// Whoever asks in between is told what the watch has seen.
const FRESH: Duration = Duration::from_millis(1500);

/// What was seen, and when.
type Seen = (Instant, Vec<Replica>);

/// Each address behind a service's name is one container.
#[derive(Clone, Debug)]
pub struct Compose {
    services: Arc<[OpsUrl]>,
    /// By service; a container keeps its place as long as it is known.
    places: Arc<Mutex<BTreeMap<String, Vec<Place>>>>,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// The containers as they change.
pub struct Followed {
    seen: watch::Receiver<Vec<Replica>>,
    /// A task of its own: a look takes time, and whoever waits for it may give up before.
    _looks: AbortOnDropHandle<()>,
}

impl Followed {
    /// All containers after a change, the first time as they are. Dropping the future loses nothing.
    pub async fn next(&mut self) -> anyhow::Result<Vec<Replica>> {
        self.seen.changed().await?;
        Ok(self.seen.borrow_and_update().clone())
    }
}

#[derive(Clone, Debug)]
struct Place {
    address: SocketAddr,
    /// When its name was last behind this address.
    known_at: Instant,
    state: State,
    started_at: Option<DateTime<Utc>>,
    restarts: u32,
}

/// What `/readyz` says.
#[derive(Deserialize)]
struct Ready {
    status: String,
    started_at: DateTime<Utc>,
}

impl Compose {
    pub fn new(services: &[OpsUrl]) -> Self {
        Self {
            services: services.into(),
            places: Arc::default(),
            seen: Arc::default(),
        }
    }

    /// All containers as they were a moment ago, a service's beside each other.
    pub async fn replicas(&self) -> Vec<Replica> {
        let seen = self.seen().clone();
        match seen {
            Some((at, replicas)) if at.elapsed() < FRESH => replicas,
            _ => self.look_around().await,
        }
    }

    async fn look_around(&self) -> Vec<Replica> {
        let found = join_all(self.services.iter().map(addresses)).await;
        let mut by_service: BTreeMap<&str, Vec<SocketAddr>> = BTreeMap::new();
        for (url, addresses) in self.services.iter().zip(found) {
            by_service
                .entry(&url.service)
                .or_default()
                .extend(addresses);
        }
        let known: Vec<(String, SocketAddr)> = {
            let mut places = self.places();
            for (service, found) in by_service {
                settle(places.entry(service.to_owned()).or_default(), &found);
            }
            let each = places.iter().flat_map(|(service, places)| {
                places.iter().map(|place| (service.clone(), place.address))
            });
            each.collect()
        };
        let looks = join_all(known.iter().map(|(_, address)| look(*address))).await;
        let mut places = self.places();
        for ((service, address), look) in known.iter().zip(looks) {
            let place = places.get_mut(service);
            let place = place.and_then(|p| p.iter_mut().find(|p| p.address == *address));
            if let Some(place) = place {
                place.note(look);
            }
        }
        let replicas = shown(&self.services, &places);
        *self.seen() = Some((Instant::now(), replicas.clone()));
        replicas
    }

    /// Looks again and again, for whoever wants to know of changes.
    pub fn follow(&self) -> Followed {
        let (tell, seen) = watch::channel(Vec::new());
        let containers = self.clone();
        let looks = tokio::spawn(async move {
            while !tell.is_closed() {
                let now = containers.look_around().await;
                tell.send_if_modified(|before| {
                    let changed = *before != now;
                    *before = now;
                    changed
                });
                tokio::time::sleep(LOOK).await;
            }
        });
        Followed {
            seen,
            _looks: AbortOnDropHandle::new(looks),
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Place>>> {
        self.places.lock().expect("nobody panics while looking")
    }

    fn seen(&self) -> MutexGuard<'_, Option<(Instant, Vec<Replica>)>> {
        self.seen.lock().expect("nobody panics while looking")
    }
}

/// The addresses behind a name; none while it has none.
async fn addresses(url: &OpsUrl) -> Vec<SocketAddr> {
    let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
    let mut found: Vec<_> = found.into_iter().flatten().collect();
    // A container with addresses of both families is one.
    if found.iter().any(SocketAddr::is_ipv4) {
        found.retain(SocketAddr::is_ipv4);
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Gives each address a place: its own, else that of one that is gone, else a new one.
fn settle(places: &mut Vec<Place>, found: &[SocketAddr]) {
    let now = Instant::now();
    for address in found {
        let own = places.iter().position(|p| p.address == *address);
        let gone = || places.iter().position(|p| !found.contains(&p.address));
        match own.or_else(gone) {
            Some(n) => {
                places[n].address = *address;
                places[n].known_at = now;
            }
            None => places.push(Place {
                address: *address,
                known_at: now,
                state: State::Starting,
                started_at: None,
                restarts: 0,
            }),
        }
    }
    places.retain(|p| now - p.known_at < FORGET);
}

/// What an ops listener lets see.
enum Look {
    /// State and start of the process.
    Answer(State, DateTime<Utc>),
    /// There is one, but it doesn't answer.
    Silence,
    Nobody,
}

async fn look(address: SocketAddr) -> Look {
    let call = Call::new(Method::GET, PathAndQuery::from_static("/readyz"));
    let answer = match client::once(address, call, PATIENCE).await {
        Ok(answer) => answer,
        Err(client::Error::Timeout { .. }) => return Look::Silence,
        Err(_) => return Look::Nobody,
    };
    let Ok(ready) = serde_json::from_slice::<Ready>(answer.body()) else {
        return Look::Silence;
    };
    let state = match ready.status.as_str() {
        "ready" => State::Ready,
        "draining" => State::Draining,
        _ => State::Starting,
    };
    Look::Answer(state, ready.started_at)
}

impl Place {
    fn note(&mut self, look: Look) {
        let (state, started_at) = match look {
            Look::Answer(state, started_at) => (state, started_at),
            Look::Silence => {
                self.state = State::Starting;
                return;
            }
            Look::Nobody => {
                self.state = State::Down;
                return;
            }
        };
        if self.started_at.is_some_and(|before| before != started_at) {
            self.restarts += 1;
        }
        self.state = state;
        self.started_at = Some(started_at);
    }
}

/// In the order of the services as configured.
fn shown(services: &[OpsUrl], places: &BTreeMap<String, Vec<Place>>) -> Vec<Replica> {
    let mut replicas: Vec<Replica> = Vec::new();
    for url in services {
        let service = &url.service;
        if replicas.iter().any(|r| r.service == *service) {
            continue;
        }
        let places = places.get(service).into_iter().flatten();
        replicas.extend(places.enumerate().map(|(n, place)| {
            let number = u16::try_from(n + 1).unwrap_or(u16::MAX);
            let life = place.started_at.map(|at| at.to_rfc3339());
            Replica {
                name: format!("{service}-{number}"),
                service: service.clone(),
                state: place.state,
                life: life.unwrap_or_default(),
                started_at: place.started_at.filter(|_| place.state != State::Down),
                restarts: place.restarts,
                address: place.address.to_string(),
                ops: place.address.to_string(),
                zone: zone(number),
            }
        }));
    }
    replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 9091))
    }

    fn of(places: &[Place]) -> Vec<SocketAddr> {
        places.iter().map(|p| p.address).collect()
    }

    #[test]
    fn a_container_keeps_its_place_and_a_new_one_takes_that_of_one_that_is_gone() {
        let mut places = Vec::new();
        settle(&mut places, &[address(1), address(2), address(3)]);
        settle(&mut places, &[address(3), address(1)]);
        assert_eq!(of(&places), [address(1), address(2), address(3)]);
        settle(&mut places, &[address(1), address(3), address(9)]);
        assert_eq!(of(&places), [address(1), address(9), address(3)]);
    }

    #[test]
    fn another_start_is_a_restart() {
        let mut places = Vec::new();
        settle(&mut places, &[address(1)]);
        let (first, second) = (Utc::now(), Utc::now() + Duration::from_secs(1));
        for look in [
            Look::Answer(State::Ready, first),
            Look::Silence,
            Look::Nobody,
            Look::Answer(State::Starting, second),
            Look::Answer(State::Ready, second),
        ] {
            places[0].note(look);
        }
        assert_eq!((places[0].restarts, places[0].state), (1, State::Ready));
    }
}
