//! `Json`, `Path` and `Query` whose rejections are problems that name the field.
use crate::{Problem, problem::Pointer};
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt as _;
use serde::{Serialize, de::DeserializeOwned};

/// A JSON body, which is never a list. Unknown fields are refused where the type says `deny_unknown_fields`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "The body must be application/json",
            ));
        }
        // `layers` has read the body already, within its limits of size and time.
        let body = request
            .into_body()
            .collect()
            .await
            .map_err(|e| malformed(&e))?
            .to_bytes();
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|e| refused(&e))?;
        json.end().map_err(|e| malformed(&e))?;
        // Derived readers take the values of an object as a list, too; we don't.
        if body.trim_ascii_start().first() == Some(&b'[') {
            return Err(Problem::invalid("", "must be an object"));
        }
        Ok(Self(value))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

fn is_json(request: &Request) -> bool {
    let value = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn malformed(error: &dyn std::error::Error) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "malformed_json",
        "The body is not valid JSON",
    )
    .detail(short(error.to_string()))
}

/// Valid JSON with a wrong value is 422 and names the field; anything else is 400.
fn refused(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let json = error.inner();
    if !json.is_data() {
        return malformed(json);
    }
    let mut pointer = String::new();
    for segment in error.path() {
        match segment {
            serde_path_to_error::Segment::Seq { index } => pointer += &format!("/{index}"),
            serde_path_to_error::Segment::Map { key } => {
                pointer += &format!("/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            _ => {}
        }
    }
    let mut problem = Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_field",
        "A field is not valid",
    );
    problem.errors.push(Pointer {
        pointer: short(pointer),
        detail: short(json.to_string()),
    });
    problem
}

/// Texts that echo the input stay short.
fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(200));
    text
}

/// Parameters of the path. What doesn't parse can't exist: 404.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[expect(clippy::disallowed_types, reason = "this is the replacement")]
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|e| match e.status() {
                StatusCode::INTERNAL_SERVER_ERROR => Problem::internal(&e),
                _ => Problem::not_found(),
            })
    }
}

/// The query string.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[expect(clippy::disallowed_types, reason = "this is the replacement")]
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|e| {
                Problem::new(
                    StatusCode::BAD_REQUEST,
                    "invalid_query",
                    "The query string is not valid",
                )
                .detail(short(e.body_text()))
            })
    }
}
