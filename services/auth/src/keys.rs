//! The keys that sign access tokens: made in the database, shared by all replicas, changed by age.
//!
//! A new key is published [`LEAD`] before it signs, so that every gateway has it by then; an old one
//! stays published until its last token is gone.
use crate::{password::random, store::Store, token};
use anyhow::{Context as _, anyhow};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use contracts::auth::{ALGORITHM, Claims, Jwk, Jwks};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How long a key is published before it signs: many times what gateways cache.
pub const LEAD: TimeDelta = TimeDelta::minutes(10);
/// How often a replica looks for keys of the others.
const RELOAD: Duration = Duration::from_secs(10);
/// Clocks differ, and a request takes its time.
const MARGIN: TimeDelta = TimeDelta::minutes(1);

/// A key as stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct StoredKey {
    pub generation: i64,
    pub kid: String,
    pub public_key: Vec<u8>,
    /// Nonce and encrypted seed.
    pub private_key: Vec<u8>,
    pub signs_from: DateTime<Utc>,
}

/// A key as used.
struct Known {
    generation: i64,
    signs_from: DateTime<Utc>,
    jwk: Jwk,
    pair: Ed25519KeyPair,
}

#[derive(Clone)]
pub struct Keys {
    store: Store,
    /// Encrypts private keys.
    cover: Arc<LessSafeKey>,
    /// For how long a key signs.
    age: Duration,
    /// For how long it is published after that.
    keep: TimeDelta,
    /// Oldest first.
    known: Arc<RwLock<Vec<Arc<Known>>>>,
    /// A key that is in no list of keys any more, for whoever breaks things on purpose.
    withdrawn: Arc<(Ed25519KeyPair, String)>,
}

impl Keys {
    /// The keys, of which there is at least one from here on.
    ///
    /// # Errors
    /// When the database is away, or its keys are of another secret.
    pub async fn open(
        store: Store,
        secret: &hmac::Key,
        age: Duration,
        token: Duration,
    ) -> anyhow::Result<Self> {
        let cover = hmac::sign(secret, b"signing keys");
        let cover = UnboundKey::new(&CHACHA20_POLY1305, cover.as_ref());
        let seed = hmac::sign(secret, b"withdrawn key");
        let withdrawn = Ed25519KeyPair::from_seed_unchecked(seed.as_ref());
        let withdrawn = withdrawn.map_err(|e| anyhow!("{e}"))?;
        let withdrawn_kid = kid(withdrawn.public_key().as_ref());
        let keys = Self {
            store,
            cover: Arc::new(LessSafeKey::new(cover.expect("a tag is as long as a key"))),
            age,
            keep: TimeDelta::from_std(token)? + MARGIN,
            known: Arc::default(),
            withdrawn: Arc::new((withdrawn, withdrawn_kid)),
        };
        keys.refresh(db::now()).await?;
        Ok(keys)
    }

    /// Keeps the keys fresh until stopped; an outage of the database is waited out.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(RELOAD) => {}
            }
            let refreshed = self.refresh(db::now()).await;
            if let Err(error) = &refreshed
                && !failing
            {
                tracing::warn!("signing keys can't be refreshed for now: {error:#}");
            }
            failing = refreshed.is_err();
        }
    }

    /// Takes over what the database has, makes the next key when it is time, and forgets what is over.
    pub async fn refresh(&self, now: DateTime<Utc>) -> anyhow::Result<()> {
        self.store.forget_keys(now - self.keep).await?;
        self.load().await?;
        let newest = self.known().last().cloned();
        let next = match &newest {
            None => Some((1, now)),
            Some(key) if key.signs_from + self.age <= now + LEAD => {
                Some((key.generation + 1, now + LEAD))
            }
            Some(_) => None,
        };
        if let Some((generation, signs_from)) = next {
            let key = self.make(generation, signs_from)?;
            if self.store.add_key(&key).await? {
                tracing::info!(kid = key.kid, %signs_from, "made a signing key");
            }
            self.load().await?;
        }
        Ok(())
    }

    /// What gateways check tokens with.
    pub fn jwks(&self) -> Jwks {
        let keys = self.known();
        Jwks {
            keys: keys.iter().map(|key| key.jwk.clone()).collect(),
        }
    }

    /// A signed token.
    pub fn sign(&self, claims: &Claims, now: DateTime<Utc>) -> String {
        let known = self.known();
        let due = known.iter().rev().find(|key| key.signs_from <= now);
        // Clocks differ: the first key may have been made a moment from now.
        let key = due.or(known.first()).expect("there is one since the start");
        token::sign(&key.pair, &key.jwk.kid, claims)
    }

    /// A token that no gateway takes, as of a replica that goes on signing with a key of yesterday.
    pub fn sign_withdrawn(&self, claims: &Claims) -> String {
        let (pair, kid) = &*self.withdrawn;
        token::sign(pair, kid, claims)
    }

    fn known(&self) -> Vec<Arc<Known>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    async fn load(&self) -> anyhow::Result<()> {
        let mut fresh = Vec::new();
        let before = self.known();
        for stored in self.store.keys().await? {
            let same = |key: &&Arc<Known>| key.jwk.kid == stored.kid;
            fresh.push(match before.iter().find(same) {
                Some(key) => key.clone(),
                None => Arc::new(self.open_key(stored)?),
            });
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn make(&self, generation: i64, signs_from: DateTime<Utc>) -> anyhow::Result<StoredKey> {
        let seed = random::<32>()?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|e| anyhow!("{e}"))?;
        let public_key = pair.public_key().as_ref().to_vec();
        let kid = kid(&public_key);
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = seed.to_vec();
        let aad = Aad::from(kid.as_bytes());
        let nonce_value = Nonce::assume_unique_for_key(nonce);
        self.cover
            .seal_in_place_append_tag(nonce_value, aad, &mut sealed)
            .map_err(|_| anyhow!("a signing key can't be encrypted"))?;
        Ok(StoredKey {
            generation,
            kid,
            public_key,
            private_key: [&nonce[..], &sealed].concat(),
            signs_from,
        })
    }

    fn open_key(&self, stored: StoredKey) -> anyhow::Result<Known> {
        let foreign = || {
            let kid = &stored.kid;
            format!("the signing key {kid} was encrypted with another AUTH_KEY_SECRET")
        };
        let sealed = stored.private_key.split_first_chunk::<NONCE_LEN>();
        let (nonce, sealed) = sealed.with_context(foreign)?;
        let mut seed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(stored.kid.as_bytes());
        let seed = self.cover.open_in_place(nonce, aad, &mut seed);
        let seed = seed.ok().with_context(foreign)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, &stored.public_key);
        Ok(Known {
            generation: stored.generation,
            signs_from: stored.signs_from,
            pair: pair.ok().with_context(foreign)?,
            jwk: Jwk {
                kty: "OKP".to_owned(),
                crv: "Ed25519".to_owned(),
                alg: ALGORITHM.to_owned(),
                r#use: "sig".to_owned(),
                x: URL_SAFE_NO_PAD.encode(&stored.public_key),
                kid: stored.kid,
            },
        })
    }
}

/// The key's thumbprint (RFC 8037 appendix A.3, RFC 7638).
fn kid(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let text = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8037, appendix A.3.
    #[test]
    fn the_kid_is_the_thumbprint() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let public_key = URL_SAFE_NO_PAD.decode(x).expect("base64url");
        assert_eq!(
            kid(&public_key),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
