//! Error answers as RFC 9457 problem details.
use axum::{
    body::Body,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::borrow::Cow;

/// What went wrong, for the caller. `layers` renders it once the request is known.
#[derive(Clone, Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable, machine-readable, e.g. `sold_out`.
    pub code: &'static str,
    pub title: &'static str,
    pub detail: Option<String>,
    /// The fields of the body that were refused.
    pub errors: Vec<Pointer>,
    /// Seconds after which it is worth trying again.
    pub retry_after: Option<u32>,
}

/// One refused field, as RFC 9457 section 3 shows: a JSON pointer and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Pointer {
    pub pointer: String,
    pub detail: String,
}

/// The body of every error answer (`application/problem+json`, RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct ProblemBody<'a> {
    /// Stable code of this kind of problem, e.g. `sold_out`.
    pub r#type: &'a str,
    pub title: &'a str,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Cow<'a, str>>,
    /// Path of the request.
    pub instance: &'a str,
    pub request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: &'a [Pointer],
}

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            status,
            code,
            title,
            detail: None,
            errors: Vec::new(),
            retry_after: None,
        }
    }

    #[must_use]
    pub fn detail(mut self, detail: impl ToString) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// 422: the body can be read, but a field's value is refused.
    #[must_use]
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_field",
            "A field is not valid",
        );
        problem.errors.push(Pointer {
            pointer: pointer.into(),
            detail: detail.into(),
        });
        problem
    }

    /// 404 for a path or an id that isn't there.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here")
    }

    /// 401: only somebody with an account may do this.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "Log in to do this",
        )
    }

    /// 403: only an operator may do this.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Only an operator may do this",
        )
    }

    /// 500: a fault of ours. Logs it, here and once, and tells the caller nothing.
    #[must_use]
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "request failed by a fault of ours");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something went wrong on our side",
        )
    }

    /// 503: something we need is away for now. Logged once, as a warning.
    #[must_use]
    pub fn unavailable(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::warn!(error, what, "request refused, a dependency is away");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not available right now",
        )
        .detail(format!("{what} is not available right now"))
        .retry_after(1)
    }

    /// 507: nothing more can be stored until somebody makes room. Logged once, as an error.
    #[must_use]
    pub fn storage_full(what: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, what, "request refused, a disk is full");
        Self::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "storage_full",
            "There is no room to store this",
        )
        .detail(format!("{what} is full"))
    }

    /// The finished answer to one request.
    pub(crate) fn render(&self, instance: &str, request_id: &str) -> Body {
        let body = ProblemBody {
            r#type: self.code,
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail.as_deref().map(Cow::Borrowed),
            instance,
            request_id,
            errors: &self.errors,
        };
        let json = serde_json::to_vec(&body).expect("strings and numbers always serialize");
        Body::from(json)
    }
}

impl IntoResponse for Problem {
    /// Carries the problem to `layers`, which knows the path and the request id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 6750 section 3: only a token that was sent can be invalid.
            let challenge = match self.code {
                "invalid_token" => r#"Bearer error="invalid_token""#,
                _ => "Bearer",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(self);
        response
    }
}
