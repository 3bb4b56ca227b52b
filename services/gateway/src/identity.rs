//! Who a request is from: checks its token with the keys of auth, which are kept here, so that auth may
//! be away.
use crate::token::Unproven;
use axum::http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use client::Upstream;
use contracts::auth::{Jwk, Jwks};
use ring::digest;
use service::{Identity, Problem};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How often the keys are read again; auth publishes one ten minutes before it signs.
const REFRESH: Duration = Duration::from_secs(60);
/// When they are read at first, and again after a failure.
const SOON: Duration = Duration::from_secs(5);
/// Between two reads for the sake of a token whose key isn't known.
const PAUSE: Duration = Duration::from_secs(1);
/// Tokens remembered as proven.
const REMEMBERED: usize = 10_000;

/// SHA-256 of a token.
type Fingerprint = [u8; 32];

#[derive(Clone)]
pub struct Identities(Arc<Inner>);

struct Inner {
    auth: Upstream,
    known: Mutex<Known>,
    /// When the keys were last asked for; held while they are.
    asked: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Known {
    /// Public keys by `kid`.
    keys: HashMap<String, Vec<u8>>,
    /// Whom a proven token is of, and until when: a signature costs more than a look-up.
    proven: HashMap<Fingerprint, (Identity, i64)>,
}

impl Identities {
    pub fn new(auth: Upstream) -> Self {
        Self(Arc::new(Inner {
            auth,
            known: Mutex::default(),
            asked: tokio::sync::Mutex::default(),
        }))
    }

    /// Who sends these headers: anonymous without a token.
    ///
    /// # Errors
    /// 401 for a token that isn't good, 503 when that can't be told since auth was never reached.
    pub async fn of(&self, headers: &HeaderMap) -> Result<Identity, Problem> {
        Ok(self.session(headers).await?.0)
    }

    /// The same, with the time (Unix, seconds) until which that is so.
    ///
    /// # Errors
    /// As above.
    pub async fn session(&self, headers: &HeaderMap) -> Result<(Identity, i64), Problem> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else {
            return Ok((Identity::Anonymous, i64::MAX));
        };
        let token = value.to_str().ok().and_then(bearer);
        let token = token
            .filter(|_| values.next().is_none())
            .ok_or_else(invalid)?;
        let now = Utc::now().timestamp();
        let fingerprint = digest::digest(&digest::SHA256, token.as_bytes());
        let fingerprint = fingerprint
            .as_ref()
            .try_into()
            .expect("SHA-256 has 32 bytes");
        if let Some(session) = self.known().proven.get(&fingerprint).copied() {
            return (session.1 > now).then_some(session).ok_or_else(invalid);
        }
        let unproven = Unproven::read(token).ok_or_else(invalid)?;
        let key = self.key(&unproven.kid).await?;
        let proven = unproven.prove(&key).and_then(|proven| proven.admit(now));
        let (identity, until) = proven.ok_or_else(invalid)?;
        self.remember(fingerprint, identity, until);
        Ok((identity, until))
    }

    /// Keeps the keys fresh until stopped; while auth is away those that are known stay.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        // All processes start together; who needs a key before that asks for it.
        let mut pause = SOON;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = if self.fetch().await.is_ok() {
                REFRESH
            } else {
                SOON
            };
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of a `kid`; asks auth when it is new, but not for every token that makes one up.
    async fn key(&self, kid: &str) -> Result<Vec<u8>, Problem> {
        let known = || self.known().keys.get(kid).cloned();
        if let Some(key) = known() {
            return Ok(key);
        }
        let mut asked = self.0.asked.lock().await;
        if known().is_none() && asked.is_none_or(|at| at.elapsed() >= PAUSE) {
            // Failed or not: the next one waits.
            self.fetch().await.ok();
            *asked = Some(Instant::now());
        }
        let nothing = self.known().keys.is_empty();
        known().ok_or_else(|| if nothing { unknown() } else { invalid() })
    }

    async fn fetch(&self) -> Result<(), client::Error> {
        let jwks: Jwks = self.0.auth.get("/.well-known/jwks.json").await?;
        let keys: HashMap<_, _> = jwks.keys.into_iter().filter_map(usable).collect();
        let mut known = self.known();
        if !keys.is_empty() && keys != known.keys {
            // A key that was withdrawn takes its tokens with it.
            known.proven.clear();
            known.keys = keys;
        }
        Ok(())
    }

    fn remember(&self, fingerprint: Fingerprint, identity: Identity, until: i64) {
        let mut known = self.known();
        if known.proven.len() >= REMEMBERED {
            // Rare, and cheaper than to know which was used last.
            known.proven.clear();
        }
        known.proven.insert(fingerprint, (identity, until));
    }
}

/// The token of `Bearer …` (RFC 6750 section 2.1); the scheme has no case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn usable(key: Jwk) -> Option<(String, Vec<u8>)> {
    let ours = key.kty == "OKP" && key.crv == "Ed25519" && key.r#use == "sig";
    let x = URL_SAFE_NO_PAD.decode(&key.x).ok()?;
    (ours && x.len() == 32).then_some((key.kid, x))
}

fn invalid() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "invalid_token",
        "The access token is not valid, or no longer",
    )
}

/// Nothing can be said about any token.
fn unknown() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "Not available right now",
    )
    .detail("access tokens can't be checked right now")
    .retry_after(1)
}
