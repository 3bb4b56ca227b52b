//! Faults and outages of dependencies, begun and ended by hand.
use super::OPERATOR;
use crate::{
    App,
    error::Result,
    inject::{self, Order, Outage},
};
use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use serde_json::Value;
use service::{IdempotencyKey, Json, Operator, Path, ProblemBody};
use uuid::Uuid;

/// Faults with their `replica` and `service`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Faults {
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
}

/// Every fault that is active now.
#[utoipa::path(get, path = "/ops/faults", tag = "ops", responses((status = 200, body = Faults)))]
pub async fn list(State(app): State<App>, _: Operator) -> Result<Json<Faults>> {
    let items = app.points.list(&app.driver.replicas().await?).await;
    Ok(Json(Faults { items }))
}

/// Break one replica of a service, or all of them, for a time.
///
/// It ends by itself, whatever becomes of whoever ordered it. Send an `Idempotency-Key` to make a repeat safe.
#[utoipa::path(post, path = "/ops/faults", tag = "ops", request_body = Order,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses(
        (status = 201, body = Faults),
        (status = 403, body = ProblemBody, description = "`chaos_disabled`", content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, description = "`replica_not_found`", content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, description = "`replica_not_ready`", content_type = "application/problem+json"),
        (status = 422, body = ProblemBody, description = "`fault_not_available`: it can't break in this way", content_type = "application/problem+json"),
    ))]
pub async fn begin(
    State(app): State<App>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json(order): Json<Order>,
) -> Result<(StatusCode, Json<Faults>)> {
    let items = inject::fault(&app, OPERATOR, key.as_deref(), order).await?;
    Ok((StatusCode::CREATED, Json(Faults { items })))
}

/// End all faults.
#[utoipa::path(delete, path = "/ops/faults", tag = "ops", responses((status = 204),
    (status = 403, body = ProblemBody, description = "`chaos_disabled`", content_type = "application/problem+json")))]
pub async fn clear(State(app): State<App>, _: Operator) -> Result<StatusCode> {
    inject::clear(&app, OPERATOR).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End one fault.
#[utoipa::path(delete, path = "/ops/faults/{id}", tag = "ops", params(("id" = Uuid, Path)), responses((status = 204),
    (status = 404, body = ProblemBody, description = "`fault_not_found`", content_type = "application/problem+json")))]
pub async fn remove(
    State(app): State<App>,
    _: Operator,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    inject::remove(&app, OPERATOR, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take the database or the queue away from every service that has it, for a time.
#[utoipa::path(post, path = "/ops/outages", tag = "ops", request_body = Outage,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses(
        (status = 201, body = Faults),
        (status = 403, body = ProblemBody, description = "`chaos_disabled`", content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, description = "`replica_not_found`", content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, description = "`replica_not_ready`", content_type = "application/problem+json"),
        (status = 422, body = ProblemBody, description = "`fault_not_available`: a named service doesn't have it", content_type = "application/problem+json"),
    ))]
pub async fn outage(
    State(app): State<App>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json(outage): Json<Outage>,
) -> Result<(StatusCode, Json<Faults>)> {
    let items = inject::outage(&app, OPERATOR, key.as_deref(), outage).await?;
    Ok((StatusCode::CREATED, Json(Faults { items })))
}
