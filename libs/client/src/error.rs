//! Why a call has no (good) answer.
use http::StatusCode;
use serde::Deserialize;
use std::time::Duration;

/// Why a call failed. None of these texts is meant for outside clients.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No replica could take the call; nothing was sent.
    #[error("{upstream} is unavailable")]
    Unavailable {
        upstream: &'static str,
        /// When trying again may help.
        retry_after: Duration,
    },
    /// The caller's deadline had passed before anything was sent.
    #[error("no time left to call {upstream}")]
    Expired { upstream: &'static str },
    /// No answer in time. The call may have been carried out.
    #[error("{upstream} did not answer in time")]
    Timeout { upstream: &'static str },
    /// The connection broke before the answer was complete. The call may have been carried out.
    #[error("the connection to {upstream} broke")]
    Broken {
        upstream: &'static str,
        source: hyper::Error,
    },
    /// The answer was larger than the settings allow. The call was carried out.
    #[error("the answer of {upstream} is too large")]
    TooLarge { upstream: &'static str },
    /// There is no memory for an answer of this size now. The call was carried out.
    #[error("too many large answers of {upstream} at once")]
    Full { upstream: &'static str },
    /// The call itself can't be sent: a bad path, or a body that can't be written.
    #[error("invalid call: {0}")]
    Invalid(String),
    /// Another status than 2xx, where the caller asked for the value of a good answer.
    #[error("{upstream} answered {}", rejection.status)]
    Status {
        upstream: &'static str,
        rejection: Rejection,
    },
    /// A good answer of an unexpected shape.
    #[error("{upstream} answered what can't be read")]
    Unreadable {
        upstream: &'static str,
        source: serde_json::Error,
    },
}

/// An answer that says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub status: StatusCode,
    /// The `type` of its problem document (RFC 9457); empty when it had none.
    pub code: String,
    pub detail: Option<String>,
    /// From its `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// The answer's status and problem, if there was an answer.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Status { rejection, .. } => Some(rejection),
            _ => None,
        }
    }

    /// True when the call was certainly not carried out because nothing was sent.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Expired { .. } | Self::Invalid(_)
        )
    }
}

/// The parts of a problem document that callers decide by.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) r#type: String,
    pub(crate) detail: Option<String>,
}
