//! One call: what is asked, and whether it may be asked twice.
use crate::Error;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE, uri::PathAndQuery};
use serde::Serialize;

/// May a call be sent again when it is unknown whether it was carried out?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Yes: doing it twice equals doing it once (GET, PUT, DELETE, or a POST with an idempotency key).
    Safe,
    /// No: only when not a byte of it was sent.
    OnlyIfUnsent,
}

/// A request to an [`Upstream`](crate::Upstream).
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// `/orders?limit=5`
    pub path_and_query: PathAndQuery,
    /// Those that belong to one connection (`Host`, `Content-Length`, `Connection`, …) are the
    /// client's business and ignored here.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub replay: Replay,
}

impl Call {
    /// A call without headers and body, replayed as its method allows (RFC 9110 section 9.2.2).
    #[must_use]
    pub fn new(method: Method, path_and_query: PathAndQuery) -> Self {
        let replay = match method.is_idempotent() {
            true => Replay::Safe,
            false => Replay::OnlyIfUnsent,
        };
        Self {
            method,
            path_and_query,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            replay,
        }
    }

    /// A call to a path given as text.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `path` does not start with a slash or holds what no path may hold.
    pub fn to(method: Method, path: &str) -> Result<Self, Error> {
        let invalid = || Error::Invalid(format!("{path:?} is not a path"));
        if !path.starts_with('/') {
            return Err(invalid());
        }
        let path = path.parse().map_err(|_| invalid())?;
        Ok(Self::new(method, path))
    }

    /// Sets the body to `value` as JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `value` can't be written as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(value).map_err(|e| Error::Invalid(e.to_string()))?;
        self.body = body.into();
        let json = HeaderValue::from_static("application/json");
        Ok(self.header(CONTENT_TYPE, json))
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Overrides what the method says: a POST that is idempotent by its key or its body is
    /// [`Replay::Safe`].
    #[must_use]
    pub fn replay(mut self, replay: Replay) -> Self {
        self.replay = replay;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_idempotent_methods_are_replayed_by_default() {
        let replay = |method| Call::to(method, "/x").expect("a path").replay;
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            assert_eq!(replay(method), Replay::Safe);
        }
        for method in [Method::POST, Method::PATCH] {
            assert_eq!(replay(method), Replay::OnlyIfUnsent);
        }
    }

    #[test]
    fn refuses_what_is_not_a_path() {
        for bad in ["", "orders", "http://elsewhere/", "/a b", "/a\r\nHost: b"] {
            assert!(matches!(Call::to(Method::GET, bad), Err(Error::Invalid(_))));
        }
    }
}
