//! The endpoints an upstream has now: configured addresses, and what its host names resolve to.
use crate::{
    Settings, Urls,
    ejection::Ejections,
    endpoint::Endpoint,
    metrics::BreakerStates,
    room::Room,
    urls::{Host, Url},
};
use http::HeaderValue;
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use tokio::{net, sync, time::Instant};

/// Pause after a look-up that failed.
const RETRY_LOOKUP: Duration = Duration::from_secs(1);

pub(crate) type Endpoints = Arc<[Arc<Endpoint>]>;

pub(crate) struct Directory {
    upstream: &'static str,
    urls: Vec<Url>,
    has_names: bool,
    settings: Settings,
    ejections: Arc<Ejections>,
    room: Arc<Room>,
    endpoints: RwLock<Endpoints>,
    /// When names have to be looked up again.
    due: Mutex<Instant>,
    /// Held by the one who looks up.
    looking: Arc<sync::Mutex<()>>,
}

impl Directory {
    pub(crate) fn new(upstream: &'static str, urls: &Urls, settings: Settings) -> Arc<Self> {
        let directory = Self {
            upstream,
            urls: urls.0.clone(),
            has_names: urls.0.iter().any(|u| matches!(u.host, Host::Name(_))),
            room: Room::new(&settings),
            settings,
            ejections: Arc::default(),
            endpoints: RwLock::default(),
            due: Mutex::new(Instant::now()),
            looking: Arc::default(),
        };
        let fixed = directory.urls.iter().filter_map(|url| match url.host {
            Host::Address(ip) => Some((SocketAddr::new(ip, url.port), url.authority.clone())),
            Host::Name(_) => None,
        });
        directory.replace(fixed.collect());
        Arc::new(directory)
    }

    /// The endpoints as known now; starts a look-up in the background when it is time.
    pub(crate) fn current(self: &Arc<Self>, now: Instant) -> Endpoints {
        let known = self.known();
        if !known.is_empty()
            && self.is_due(now)
            && let Ok(looking) = self.looking.clone().try_lock_owned()
        {
            let directory = self.clone();
            tokio::spawn(async move {
                directory.look_up().await;
                drop(looking);
            });
        }
        known
    }

    /// The endpoints after the first look-up, for when there are none yet. All callers wait for
    /// the same one; after a failure none looks again at once.
    pub(crate) async fn first(&self) -> Endpoints {
        let _looking = self.looking.lock().await;
        if self.known().is_empty() && self.is_due(Instant::now()) {
            self.look_up().await;
        }
        self.known()
    }

    fn is_due(&self, now: Instant) -> bool {
        self.has_names && now >= *self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn known(&self) -> Endpoints {
        self.endpoints
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn look_up(&self) {
        let mut found = Vec::new();
        let mut pause = self.settings.call_resolve_interval;
        for url in &self.urls {
            match resolve(url).await {
                Ok(addresses) => {
                    found.extend(addresses.into_iter().map(|a| (a, url.authority.clone())));
                }
                Err(error) => {
                    let (upstream, url) = (self.upstream, &url.authority);
                    tracing::warn!(upstream, ?url, %error, "can't look up the replicas");
                    pause = pause.min(RETRY_LOOKUP);
                }
            }
        }
        if pause < self.settings.call_resolve_interval {
            // Better an old address than none.
            let old = self.known();
            found.extend(old.iter().map(|e| (e.address, e.authority.clone())));
        }
        self.replace(found);
        *self.due.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + pause;
    }

    /// Endpoints whose address stays keep their connections and their health.
    fn replace(&self, mut addresses: Vec<(SocketAddr, HeaderValue)>) {
        addresses.sort_by_key(|(address, _)| *address);
        addresses.dedup_by_key(|(address, _)| *address);
        let old = self.known();
        let same = old
            .iter()
            .map(|e| e.address)
            .eq(addresses.iter().map(|(a, _)| *a));
        if same {
            return;
        }
        let endpoint = |(address, authority)| {
            let kept = old.iter().find(|e| e.address == address).cloned();
            kept.unwrap_or_else(|| {
                let (ejections, room) = (self.ejections.clone(), self.room.clone());
                let settings = &self.settings;
                Endpoint::new(self.upstream, address, authority, settings, ejections, room)
            })
        };
        let new: Endpoints = addresses.into_iter().map(endpoint).collect();
        self.ejections
            .set_limit(new.len(), self.settings.breaker_eject_percent);
        *self
            .endpoints
            .write()
            .unwrap_or_else(PoisonError::into_inner) = new;
    }
}

impl BreakerStates for Directory {
    fn upstream(&self) -> &'static str {
        self.upstream
    }

    fn states(&self) -> Vec<(String, i64)> {
        let now = Instant::now();
        let endpoints = self.known();
        let state = |e: &Arc<Endpoint>| (e.address.to_string(), e.state(now) as i64);
        endpoints.iter().map(state).collect()
    }
}

async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    match &url.host {
        Host::Address(ip) => Ok(vec![SocketAddr::new(*ip, url.port)]),
        Host::Name(name) => {
            let found = net::lookup_host((name.as_str(), url.port)).await?;
            Ok(one_family(found.collect()))
        }
    }
}

/// Behind a name with addresses of both families each replica would count twice.
fn one_family(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.iter().any(SocketAddr::is_ipv4) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(addresses: &[&str]) -> Vec<(SocketAddr, HeaderValue)> {
        let authority = HeaderValue::from_static("peer");
        let parse = |a: &&str| (a.parse().expect("an address"), authority.clone());
        addresses.iter().map(parse).collect()
    }

    #[test]
    fn a_replica_that_stays_keeps_its_state() {
        let urls = "http://peer".parse().expect("a URL");
        let directory = Directory::new("peer", &urls, Settings::default());
        directory.replace(found(&["10.0.0.1:80", "10.0.0.2:80"]));
        let before = directory.known();
        directory.replace(found(&["10.0.0.3:80", "10.0.0.2:80", "10.0.0.2:80"]));
        let after = directory.known();
        assert_eq!(after.len(), 2);
        assert!(
            Arc::ptr_eq(&before[1], &after[0]),
            "it lost its connections and health"
        );
        assert_eq!(after[1].address.to_string(), "10.0.0.3:80");
    }

    #[test]
    fn a_replica_with_two_addresses_counts_once() {
        let parse = |list: &[&str]| {
            list.iter()
                .map(|a| a.parse().expect("an address"))
                .collect()
        };
        let (both, v4): (Vec<_>, Vec<_>) = (
            parse(&["[::1]:80", "127.0.0.1:80"]),
            parse(&["127.0.0.1:80"]),
        );
        assert_eq!(one_family(both), v4);
        let v6: Vec<_> = parse(&["[::1]:80"]);
        assert_eq!(one_family(v6.clone()), v6);
    }

    #[tokio::test]
    async fn the_old_addresses_stay_when_a_name_is_lost() {
        let urls = "http://no-such-host.invalid".parse().expect("a URL");
        let directory = Directory::new("peer", &urls, Settings::default());
        directory.replace(found(&["10.0.0.1:80"]));
        directory.look_up().await;
        assert_eq!(directory.known().len(), 1);
    }
}
