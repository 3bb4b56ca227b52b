//! Accounts and tokens, as auth issues them and the gateway and clients read them.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who issues access tokens (`iss`).
pub const ISSUER: &str = "seawall-auth";
/// Whom they are for (`aud`).
pub const AUDIENCE: &str = "seawall";
/// Type of an access token (`typ`, RFC 9068 section 2.1).
pub const TOKEN_TYPE: &str = "at+jwt";
/// The one algorithm there is (`alg`, RFC 8037): Ed25519.
pub const ALGORITHM: &str = "EdDSA";

/// Name of the account that looks after the platform.
pub const OPERATOR: &str = "operator";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Operator,
}

impl Role {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Operator => "operator",
        }
    }
}

/// The header of an access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenHeader {
    pub alg: String,
    pub typ: String,
    pub kid: String,
}

/// What an access token says (RFC 7519 section 4.1, RFC 9068). Times are Unix seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: Uuid,
    pub role: String,
    pub iat: i64,
    pub nbf: i64,
    pub exp: i64,
}

/// Public keys that check access tokens (RFC 7517).
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Jwks {
    pub keys: Vec<Jwk>,
}

/// One Ed25519 key (RFC 8037 section 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Jwk {
    #[schema(example = "OKP")]
    pub kty: String,
    #[schema(example = "Ed25519")]
    pub crv: String,
    #[schema(example = "EdDSA")]
    pub alg: String,
    #[schema(example = "sig")]
    pub r#use: String,
    pub kid: String,
    /// The key in base64url.
    pub x: String,
}

/// What a login gives.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tokens {
    /// Send it as `Authorization: Bearer …`.
    pub access_token: String,
    /// Gives the next tokens, once.
    pub refresh_token: String,
    #[schema(example = "Bearer")]
    pub token_type: String,
    /// Of the access token, seconds.
    #[schema(example = 600)]
    pub expires_in: u32,
}

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Profile {
    pub id: Uuid,
    #[schema(example = "ada")]
    pub username: String,
    #[schema(example = "Ada L.")]
    pub display_name: String,
    pub email: Option<String>,
    /// Id of the picture.
    pub avatar: Option<String>,
    pub role: Role,
    pub created_at: DateTime<Utc>,
}

/// An account as others see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PublicProfile {
    pub id: Uuid,
    pub username: String,
    pub display_name: String,
    /// Id of the picture.
    pub avatar: Option<String>,
}
