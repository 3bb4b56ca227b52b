//! Who a request is from. The gateway finds out and says so in a header that it signs, so that whoever
//! reaches a service's port directly can't claim to be somebody.
//!
//! `x-identity: v1.<user id>.<role>.<unix expiry>.<HMAC-SHA-256 in hex>`, and the same way
//! `x-client-address: v1.<address>.<unix expiry>.<HMAC>`. The MAC covers the header's name, too.
use crate::Problem;
use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderName, HeaderValue, StatusCode, request::Parts},
};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::{convert::Infallible, fmt::Write as _, net::IpAddr};
use uuid::Uuid;

pub const IDENTITY: HeaderName = HeaderName::from_static("x-identity");
pub const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("x-client-address");

/// How long a signed header is good: longer than any call takes, and than clocks differ.
const LIFETIME: TimeDelta = TimeDelta::seconds(30);

/// Who a request is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    #[default]
    Anonymous,
    User(Uuid),
    /// Looks after the platform.
    Operator(Uuid),
}

impl Identity {
    /// The account, if there is one.
    #[must_use]
    pub fn user_id(self) -> Option<Uuid> {
        match self {
            Self::Anonymous => None,
            Self::User(id) | Self::Operator(id) => Some(id),
        }
    }

    /// The identity of a role as tokens name it.
    #[must_use]
    pub fn of(role: &str, id: Uuid) -> Option<Self> {
        match role {
            "user" => Some(Self::User(id)),
            "operator" => Some(Self::Operator(id)),
            _ => None,
        }
    }
}

/// Extractor of somebody with an account; 401 for others.
#[derive(Clone, Copy, Debug)]
pub struct Account(pub Uuid);

/// Extractor of an operator; 401 for anonymous callers, 403 for users.
#[derive(Clone, Copy, Debug)]
pub struct Operator(pub Uuid);

/// Extractor of what a caller may see and change: users their own, operators all; 401 for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Own(Uuid),
    All,
}

impl Scope {
    /// The one whose things these are, unless it is everybody.
    #[must_use]
    pub fn owner(self) -> Option<Uuid> {
        match self {
            Self::Own(id) => Some(id),
            Self::All => None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(identity(parts))
    }
}

impl<S: Sync> FromRequestParts<S> for Account {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let id = identity(parts).user_id();
        id.map(Self).ok_or_else(Problem::unauthorized)
    }
}

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match identity(parts) {
            Identity::Anonymous => Err(Problem::unauthorized()),
            Identity::User(_) => Err(Problem::forbidden()),
            Identity::Operator(id) => Ok(Self(id)),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Scope {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match identity(parts) {
            Identity::Anonymous => Err(Problem::unauthorized()),
            Identity::User(id) => Ok(Self::Own(id)),
            Identity::Operator(_) => Ok(Self::All),
        }
    }
}

fn identity(parts: &Parts) -> Identity {
    parts.extensions.get().copied().unwrap_or_default()
}

/// Extractor of the client's address as the gateway saw it; none for calls that come past it.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().copied()))
    }
}

/// Signs and checks the headers; all processes of a platform share its secret.
#[derive(Clone)]
pub struct IdentityKey(Hmac<Sha256>);

impl IdentityKey {
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"))
    }

    /// Is this the secret that the key is made of? Takes the same time for every wrong one.
    #[must_use]
    pub fn is(&self, secret: &str) -> bool {
        let tag = Self::new(secret.as_bytes()).mac("", "").finalize();
        self.mac("", "").verify(&tag.into_bytes()).is_ok()
    }

    /// The value of `x-identity`; none for anonymous callers, who have no such header.
    #[must_use]
    pub fn identity(&self, who: Identity, now: DateTime<Utc>) -> Option<HeaderValue> {
        let payload = match who {
            Identity::Anonymous => return None,
            Identity::User(id) => format!("{id}.user"),
            Identity::Operator(id) => format!("{id}.operator"),
        };
        Some(self.seal(&IDENTITY, &payload, now))
    }

    /// The value of `x-client-address`.
    #[must_use]
    pub fn client_address(&self, address: IpAddr, now: DateTime<Utc>) -> HeaderValue {
        self.seal(&CLIENT_ADDRESS, &address.to_string(), now)
    }

    /// Puts what the headers of a request say into its extensions, where the extractors find it.
    ///
    /// # Errors
    /// 401 when a signature is wrong or too old.
    pub(crate) fn admit(&self, request: &mut Request, now: DateTime<Utc>) -> Result<(), Problem> {
        if let Some(value) = request.headers().get(&IDENTITY) {
            let payload = self.open(&IDENTITY, value, now);
            let identity = payload.and_then(|payload| {
                let (id, role) = payload.split_once('.')?;
                Identity::of(role, id.parse().ok()?)
            });
            let identity = identity.ok_or_else(forged)?;
            request.extensions_mut().insert(identity);
        }
        if let Some(value) = request.headers().get(&CLIENT_ADDRESS) {
            let payload = self.open(&CLIENT_ADDRESS, value, now);
            let address = payload.and_then(|payload| payload.parse::<IpAddr>().ok());
            let address = address.ok_or_else(forged)?;
            request.extensions_mut().insert(address);
        }
        Ok(())
    }

    fn seal(&self, name: &HeaderName, payload: &str, now: DateTime<Utc>) -> HeaderValue {
        let mut text = format!("v1.{payload}.{}", (now + LIFETIME).timestamp());
        let tag = self.mac(name.as_str(), &text).finalize().into_bytes();
        text.push('.');
        for byte in tag {
            write!(text, "{byte:02x}").expect("strings take any text");
        }
        HeaderValue::try_from(text).expect("ids, addresses and digits are visible ASCII")
    }

    fn open<'a>(
        &self,
        name: &HeaderName,
        value: &'a HeaderValue,
        now: DateTime<Utc>,
    ) -> Option<&'a str> {
        let (text, tag) = value.to_str().ok()?.rsplit_once('.')?;
        let tag = from_hex(tag)?;
        self.mac(name.as_str(), text).verify_slice(&tag).ok()?;
        let (payload, expiry) = text.strip_prefix("v1.")?.rsplit_once('.')?;
        (expiry.parse::<i64>().ok()? > now.timestamp()).then_some(payload)
    }

    fn mac(&self, name: &str, text: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(name.as_bytes());
        mac.update(b"\0");
        mac.update(text.as_bytes());
        mac
    }
}

fn forged() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "invalid_identity",
        "The identity is not signed, or no longer",
    )
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn admit(
        key: &IdentityKey,
        name: HeaderName,
        value: &HeaderValue,
        now: DateTime<Utc>,
    ) -> Option<Request> {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(name, value.clone());
        key.admit(&mut request, now).is_ok().then_some(request)
    }

    #[test]
    fn what_was_signed_is_read_until_it_is_too_old() {
        let (key, now) = (IdentityKey::new(b"k"), Utc::now());
        let id = Uuid::from_u128(7);
        for who in [Identity::User(id), Identity::Operator(id)] {
            let value = key.identity(who, now).expect("somebody");
            let request = admit(&key, IDENTITY, &value, now).expect("admitted");
            assert_eq!(request.extensions().get(), Some(&who));
            let late = now + LIFETIME + TimeDelta::seconds(1);
            assert!(admit(&key, IDENTITY, &value, late).is_none());
        }
        for address in ["192.0.2.1", "2001:db8::1"] {
            let address: IpAddr = address.parse().expect("an address");
            let value = key.client_address(address, now);
            let request = admit(&key, CLIENT_ADDRESS, &value, now).expect("admitted");
            assert_eq!(request.extensions().get(), Some(&address));
        }
    }

    #[test]
    fn nothing_else_is_believed() {
        let (key, now) = (IdentityKey::new(b"k"), Utc::now());
        let user = Identity::User(Uuid::from_u128(7));
        let good = key.identity(user, now).expect("somebody");
        let text = good.to_str().expect("ASCII");
        let other = IdentityKey::new(b"other").identity(user, now);
        let other = other.expect("somebody");
        let forged = [
            text.replace(".user.", ".operator."),
            text.replacen('7', "8", 1),
            text.replacen("v1", "v2", 1),
            format!("{text}0"),
            text[..text.len() - 1].to_owned(),
            other.to_str().expect("ASCII").to_owned(),
            "v1.operator".to_owned(),
            String::new(),
            "é".repeat(40),
        ];
        for forged in forged {
            let value = HeaderValue::from_bytes(forged.as_bytes()).expect("a value");
            assert!(admit(&key, IDENTITY, &value, now).is_none(), "{forged}");
        }
        // A signed address is no identity.
        assert!(admit(&key, CLIENT_ADDRESS, &good, now).is_none());
        assert!(key.is("k") && !key.is("other") && !key.is(""));
    }
}
