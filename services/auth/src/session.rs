//! Sessions: a login starts a family of refresh tokens, of which the newest is good for one use.
//!
//! A token's successor is derived from it under a secret. Whoever comes twice within [`GRACE`], since
//! the answer was lost or two tabs asked at once, gets the same successor, and nothing has to be
//! stored that could be stolen. Later, the second one to come has stolen the token, or was stolen
//! from: the family ends (RFC 9700 section 4.14.2).
use crate::{
    error::{Error, Result},
    password::random,
    store::{Rotation, Store},
    user::User,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use ring::{digest, hmac};
use std::time::Duration;
use uuid::Uuid;

/// For how long a used token still gives the successor it gave.
const GRACE: TimeDelta = TimeDelta::seconds(10);

/// 256 random bits.
type Token = [u8; 32];

#[derive(Clone)]
pub struct Sessions {
    store: Store,
    secret: hmac::Key,
    length: Duration,
}

/// What became of a refresh token.
pub enum Refreshed {
    /// Whose it is, and the next one.
    Next(User, String),
    /// It had been used before; the session is over from now on.
    Reused,
}

impl Sessions {
    /// Sessions that last for `length` from their login on.
    pub fn new(store: Store, secret: hmac::Key, length: Duration) -> Self {
        Self {
            store,
            secret,
            length,
        }
    }

    /// Starts a session; gives its first refresh token.
    pub async fn start(&self, user: Uuid) -> Result<String> {
        let token = random()?;
        let now = db::now();
        let (family, ends) = (Uuid::now_v7(), now + self.length);
        self.store
            .start_family(family, user, &hash(&token), now, ends)
            .await?;
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// The successor of a token.
    ///
    /// # Errors
    /// [`Error::InvalidRefresh`] when it isn't one of ours, or its session is over.
    pub async fn refresh(&self, text: &str) -> Result<Refreshed> {
        let token = parse(text).ok_or(Error::InvalidRefresh)?;
        let next = hmac::sign(&self.secret, &token);
        let next: Token = next.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let now = db::now();
        let (used, added) = (hash(&token), hash(&next));
        match self.store.rotate(&used, &added, now, now - GRACE).await? {
            Rotation::Next(user) => Ok(Refreshed::Next(user, URL_SAFE_NO_PAD.encode(next))),
            Rotation::Reused => Ok(Refreshed::Reused),
            Rotation::Unknown => Err(Error::InvalidRefresh),
        }
    }

    /// Ends the session of a token, if there is one.
    pub async fn end(&self, text: &str) -> Result<()> {
        if let Some(token) = parse(text) {
            self.store
                .revoke_family_of(&hash(&token), db::now())
                .await?;
        }
        Ok(())
    }
}

fn parse(text: &str) -> Option<Token> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

fn hash(token: &Token) -> Vec<u8> {
    digest::digest(&digest::SHA256, token).as_ref().to_vec()
}
