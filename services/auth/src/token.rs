//! Access tokens: a compact JWS (RFC 7515 section 3.1) signed with Ed25519 (RFC 8037).
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use contracts::auth::{ALGORITHM, Claims, TOKEN_TYPE, TokenHeader};
use ring::signature::Ed25519KeyPair;
use serde::Serialize;

/// `header.claims.signature`, each in base64url.
pub fn sign(pair: &Ed25519KeyPair, kid: &str, claims: &Claims) -> String {
    let header = TokenHeader {
        alg: ALGORITHM.to_owned(),
        typ: TOKEN_TYPE.to_owned(),
        kid: kid.to_owned(),
    };
    let mut text = format!("{}.{}", part(&header), part(claims));
    let signature = pair.sign(text.as_bytes());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut text);
    text
}

fn part(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("plain data");
    URL_SAFE_NO_PAD.encode(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::auth::{AUDIENCE, ISSUER};
    use ring::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
    use uuid::Uuid;

    #[test]
    fn a_token_is_signed_over_its_first_two_parts() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: Uuid::from_u128(7),
            role: "user".to_owned(),
            iat: 1,
            nbf: 1,
            exp: 601,
        };
        let token = sign(&pair, "k1", &claims);
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let (header, body) = signed.split_once('.').expect("three parts");
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("base64url");
        assert_eq!(
            decode(header),
            br#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}"#
        );
        assert_eq!(
            serde_json::from_slice::<Claims>(&decode(body)).expect("claims"),
            claims
        );
        let key = UnparsedPublicKey::new(&ED25519, pair.public_key());
        assert!(key.verify(signed.as_bytes(), &decode(signature)).is_ok());
    }
}
