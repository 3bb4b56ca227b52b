//! Reading access tokens: a compact JWS (RFC 7515 section 3.1) of one kind, and nothing else (RFC 8725).
//!
//! One algorithm, one type; a key is looked up by `kid` among those we know, never fetched from where the
//! token says. What auth does not write, such as padding, a `crit` header or a second `alg`, is refused.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use contracts::auth::{ALGORITHM, AUDIENCE, Claims, ISSUER, TOKEN_TYPE};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, de::IgnoredAny};
use service::Identity;

/// Ours have about 400 bytes.
const LONGEST: usize = 2048;
/// Clocks differ by so much, seconds.
const LEEWAY: i64 = 5;
/// No token is good for longer, seconds.
const LONGEST_LIFE: i64 = 900;

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
    /// Extensions that must be understood, and aren't (RFC 7515 section 4.1.11).
    crit: Option<IgnoredAny>,
}

/// A token in the right form, of which nothing is proven.
pub struct Unproven<'a> {
    pub kid: String,
    signed: &'a [u8],
    claims: &'a str,
    signature: Vec<u8>,
}

/// A token whose signature is good.
pub struct Proven(Claims);

impl<'a> Unproven<'a> {
    pub fn read(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.').filter(|_| token.len() <= LONGEST)?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
        let ours = header.alg == ALGORITHM && header.typ == TOKEN_TYPE && header.crit.is_none();
        ours.then_some(Self {
            kid: header.kid,
            signed: signed.as_bytes(),
            claims,
            signature: decode(signature)?,
        })
    }

    /// Proves it with the key of its `kid`.
    pub fn prove(self, key: &[u8]) -> Option<Proven> {
        let key = UnparsedPublicKey::new(&ED25519, key);
        key.verify(self.signed, &self.signature).ok()?;
        serde_json::from_slice(&decode(self.claims)?)
            .ok()
            .map(Proven)
    }
}

impl Proven {
    /// Whom it is of, if it is for us and of this moment (Unix seconds), and until when.
    pub fn admit(self, now: i64) -> Option<(Identity, i64)> {
        let Claims {
            iss,
            aud,
            sub,
            role,
            iat,
            nbf,
            exp,
        } = self.0;
        let life = exp.checked_sub(iat)?;
        let good = iss == ISSUER
            && aud == AUDIENCE
            && (1..=LONGEST_LIFE).contains(&life)
            && iat <= now + LEEWAY
            && nbf <= now + LEEWAY
            && exp > now - LEEWAY;
        let identity = Identity::of(&role, sub).filter(|_| good)?;
        Some((identity, exp))
    }
}

/// Without padding, and with no bits left over.
fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
