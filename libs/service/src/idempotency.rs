//! The `Idempotency-Key` of a request (draft-ietf-httpapi-idempotency-key-header).
use crate::Problem;
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};

/// Extractor of the caller's key, if there is one; 400 unless it is 1 to 255 visible ASCII characters, once.
#[derive(Clone, Debug)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let Some(key) = keys.next() else {
            return Ok(Self(None));
        };
        let key = key.to_str().ok().filter(|key| is_key(key));
        let key = key.filter(|_| keys.next().is_none());
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_idempotency_key",
                "The Idempotency-Key is not valid",
            )
            .detail("it must be 1 to 255 visible ASCII characters")
        })
    }
}

fn is_key(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii() {
        assert!(is_key("a") && is_key(&"x".repeat(255)));
        for bad in ["", "a b", "a\n", "é", &"x".repeat(256)] {
            assert!(!is_key(bad), "{bad:?}");
        }
    }
}
