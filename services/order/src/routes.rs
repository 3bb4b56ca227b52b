//! The routes of the order service.
use crate::{
    App,
    error::{Error, Result},
    order::{self, NewOrder},
    place,
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use contracts::order::{Acknowledge, Order, Sales, Settle, Settled, Touch, Touched};
use sabotage::{Bug, crash_point};
use serde::Deserialize;
use service::{
    Cursor, IdempotencyKey, Identity, Json, Page, Path, Place, ProblemBody, Query, Scope,
};
use std::time::Instant;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

pub fn routes(app: App) -> Router {
    let (public, api) = OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(cancel))
        .split_for_parts();
    public
        .route("/openapi.json", get(async || Json(api)))
        // For other services only; the gateway doesn't pass these on.
        .route("/orders/settle", post(settle))
        .route("/orders/touch", post(touch))
        .route("/outbox/acknowledge", post(acknowledge))
        .route("/sales", get(sales))
        .with_state(app)
}

/// Buy: reserves stock and records the order.
///
/// Send an `Idempotency-Key` of your own to make a repeat safe: the same key gives the same order.
#[utoipa::path(post, path = "/orders", tag = "orders", request_body = NewOrder,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses(
        (status = 201, body = Order, description = "The order; with `Idempotent-Replayed: true` if it was there before"),
        (status = 409, body = ProblemBody, description = "`sold_out`, or `order_expired`", content_type = "application/problem+json"),
        (status = 422, body = ProblemBody, description = "A field is not valid, or the key belongs to another order", content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, description = "Try again after `Retry-After` seconds", content_type = "application/problem+json"),
    ))]
async fn create(
    State(app): State<App>,
    identity: Identity,
    IdempotencyKey(key): IdempotencyKey,
    Json(new): Json<NewOrder>,
) -> Result<(StatusCode, HeaderMap, Json<Order>)> {
    let started = Instant::now();
    // One of our own for callers that don't care.
    let key = key.filter(|_| !sabotage::has(Bug::IdempotencyOff));
    let key = key.unwrap_or_else(|| Uuid::now_v7().to_string());
    let product = new.product_id.clone();
    let placed = place::place(&app, identity.user_id(), &key, new).await;
    app.metrics
        .duration
        .observe(started.elapsed().as_secs_f64());
    match &placed {
        Ok(placed) if placed.replayed => app.metrics.placed("replayed", &product),
        Ok(_) => app.metrics.placed("confirmed", &product),
        Err(error) => app.metrics.placed(
            error.label(),
            if matches!(error, Error::SoldOut) {
                &product
            } else {
                "unknown"
            },
        ),
    }
    let placed = placed?;
    let mut headers = HeaderMap::new();
    if placed.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    let order = placed.order.view().ok_or(Error::Expired)?;
    Ok((StatusCode::CREATED, headers, Json(order)))
}

/// Your orders, newest first; all of them for an operator.
#[utoipa::path(get, path = "/orders", tag = "orders", params(Cursor), responses((status = 200, body = Page<Order>)))]
async fn list(
    State(app): State<App>,
    scope: Scope,
    Query(cursor): Query<Cursor>,
) -> Result<Json<Page<Order>>> {
    let limit = cursor.limit().map_err(Error::Invalid)?;
    let after = cursor
        .after(|text| text.parse().ok())
        .map_err(Error::Invalid)?;
    let orders = app
        .store
        .list(limit as i64 + 1, after, scope.owner())
        .await?;
    let orders = orders.into_iter().filter_map(order::Order::view).collect();
    Ok(Json(Page::new(orders, limit, |o: &Order| {
        Place {
            created_at: o.created_at,
            id: o.id,
        }
        .to_string()
    })))
}

/// One order.
#[utoipa::path(get, path = "/orders/{id}", tag = "orders", params(("id" = Uuid, Path)), responses(
    (status = 200, body = Order),
    (status = 404, body = ProblemBody, description = "`order_not_found`", content_type = "application/problem+json"),
))]
async fn show(State(app): State<App>, Path(id): Path<Uuid>) -> Result<Json<Order>> {
    let order = app.store.get(id).await?.and_then(order::Order::view);
    order.map(Json).ok_or(Error::NotFound)
}

/// Cancels an order of yours, or any for an operator: its stock goes back on the shelf and the customer is told, once.
#[utoipa::path(post, path = "/orders/{id}/cancel", tag = "orders", params(("id" = Uuid, Path)), responses(
    (status = 200, body = Order, description = "The cancelled order, also when it was cancelled before"),
    (status = 404, body = ProblemBody, description = "`order_not_found`", content_type = "application/problem+json"),
))]
async fn cancel(State(app): State<App>, scope: Scope, Path(id): Path<Uuid>) -> Result<Json<Order>> {
    let owner = scope.owner();
    let cancelled = app.store.cancel(id, owner, app.outbox.due()).await?;
    let order = match cancelled {
        Some((order, entry)) => {
            app.outbox.hand_over(entry.into_iter().collect());
            Some(order)
        }
        None => app.store.get(id).await?,
    };
    order
        // Somebody else's is as good as none.
        .filter(|order| owner.is_none() || order.user_id == owner)
        .and_then(order::Order::view)
        .map(Json)
        .ok_or(Error::NotFound)
}

async fn settle(State(app): State<App>, Json(settle): Json<Settle>) -> Result<Json<Settled>> {
    let orders = if settle.holds.is_empty() {
        Vec::new()
    } else {
        app.store.settle(&settle.holds).await?
    };
    Ok(Json(Settled { orders }))
}

async fn acknowledge(State(app): State<App>, Json(done): Json<Acknowledge>) -> Result<StatusCode> {
    if !done.event_ids.is_empty() {
        app.store.acknowledge(&done.queue, &done.event_ids).await?;
        crash_point!("order.acknowledged");
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn touch(State(app): State<App>, Json(touch): Json<Touch>) -> Result<Json<Touched>> {
    let touched = app
        .store
        .touch(touch.since, touch.stamp, touch.limit.clamp(1, 1000))
        .await?;
    Ok(Json(Touched {
        touched: touched.len() as u64,
        last: touched.into_iter().max(),
    }))
}

#[derive(Deserialize)]
struct Between {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

async fn sales(State(app): State<App>, Query(between): Query<Between>) -> Result<Json<Sales>> {
    let Between { from, to } = between;
    let items = app.store.sales(from, to).await?;
    Ok(Json(Sales { from, to, items }))
}
