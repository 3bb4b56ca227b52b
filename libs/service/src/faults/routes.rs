//! The routes that set faults, on the ops listener, for whoever has the token.
use super::{Fault, Faults, Inner, Spec};
use crate::{Json, Path, Problem, layers};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{delete, get},
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::{sync::Arc, time::Duration};
use telemetry::Context;
use uuid::Uuid;

const MAX_BODY: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Items {
    items: Vec<Fault>,
}

/// None where nothing may be broken.
pub(crate) fn routes(faults: &Faults) -> Router {
    let Some(inner) = &faults.0 else {
        return Router::new();
    };
    Router::new()
        .route("/faults", get(list).post(add).delete(clear))
        .route("/faults/{id}", delete(remove))
        .layer(from_fn_with_state(inner.clone(), guard))
        .with_state(inner.clone())
}

/// Lets in whoever has the token, and renders problems.
async fn guard(State(inner): State<Arc<Inner>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let admitted = async {
        if !is_known(request.headers(), inner.token.expose()) {
            return Problem::unauthorized().into_response();
        }
        match layers::buffer(MAX_BODY, PATIENCE, request).await {
            Ok(request) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let response = admitted.await;
    layers::finish(response, &path, &Context::from_headers(None, None))
}

/// Takes the same time for every wrong token.
fn is_known(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let Some(given) = given.and_then(|v| v.strip_prefix("Bearer ")) else {
        return false;
    };
    let (given, token) = (Sha256::digest(given.trim()), Sha256::digest(token));
    let different = given.iter().zip(token.iter());
    different.fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

async fn list(State(inner): State<Arc<Inner>>) -> Json<Items> {
    let items = inner.list();
    Json(Items { items })
}

async fn add(
    State(inner): State<Arc<Inner>>,
    Json(spec): Json<Spec>,
) -> Result<(StatusCode, Json<Fault>), Problem> {
    Ok((StatusCode::CREATED, Json(inner.add(spec)?)))
}

async fn clear(State(inner): State<Arc<Inner>>) -> StatusCode {
    inner.remove(|_| true);
    StatusCode::NO_CONTENT
}

async fn remove(
    State(inner): State<Arc<Inner>>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    match inner.remove(|active| active.id == id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found()),
    }
}
