//! Calls whose answers are JSON values.
use crate::{Call, Error, Rejection, Upstream, error::Problem, retry};
use bytes::Bytes;
use http::{Method, Response};
use serde::{Serialize, de::DeserializeOwned};

impl Upstream {
    /// Sends a call and reads its 2xx answer as JSON (an empty body reads as `null`).
    ///
    /// # Errors
    /// Those of [`Upstream::send`], [`Error::Status`] for any other status, [`Error::Unreadable`].
    pub async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let response = self.send(call).await?;
        let upstream = self.name();
        if !response.status().is_success() {
            let rejection = rejection(&response);
            return Err(Error::Status {
                upstream,
                rejection,
            });
        }
        let body = match response.body().is_empty() {
            true => b"null".as_slice(),
            false => response.body().as_ref(),
        };
        serde_json::from_slice(body).map_err(|source| Error::Unreadable { upstream, source })
    }

    /// `GET`s a JSON value.
    ///
    /// # Errors
    /// As [`Upstream::json`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.json(Call::to(Method::GET, path)?).await
    }

    /// `POST`s a JSON value and reads one back. Never sent twice: for a POST that is idempotent by
    /// its key or its body use [`Upstream::json`] with [`Call::replay`].
    ///
    /// # Errors
    /// As [`Upstream::json`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Error> {
        self.json(Call::to(Method::POST, path)?.json(body)?).await
    }
}

fn rejection(response: &Response<Bytes>) -> Rejection {
    let problem: Problem = serde_json::from_slice(response.body()).unwrap_or_default();
    Rejection {
        status: response.status(),
        code: problem.r#type,
        detail: problem.detail,
        retry_after: retry::retry_after(response),
    }
}
