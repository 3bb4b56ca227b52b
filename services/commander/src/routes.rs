//! The routes of commander.
mod alerts;
mod drills;
mod exercise;
mod faults;
mod load;

use crate::{
    App,
    alert::Alert,
    entry::Entry,
    error::{Error, Result},
    kill,
    replica::{Replica, Target},
    rollout, scale,
    state::Platform,
};
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use service::{Cursor, IdempotencyKey, Json, Operator, Page, Place, ProblemBody, Query};
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long a caller of `/ops/changes` waits while nothing changes. With the time that readings take it
/// stays below the limit of a try of a call, so that a replica which hangs is told from one that waits.
const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// Newest entries of the journal, and alerts, that come with each change.
const NEWEST: i64 = 50;

pub fn routes(app: App) -> Router {
    let (public, api) = OpenApiRouter::new()
        .routes(routes!(state))
        .routes(routes!(journal))
        .routes(routes!(kill_one))
        .routes(routes!(load::show, load::begin, load::end))
        .routes(routes!(drills::list))
        .routes(routes!(drills::run))
        .routes(routes!(drills::break_it))
        .routes(routes!(drills::runs, drills::keep))
        .routes(routes!(drills::show))
        .routes(routes!(drills::report))
        .routes(routes!(exercise::hint))
        .routes(routes!(exercise::verify))
        .routes(routes!(exercise::restore))
        .routes(routes!(roll_out))
        .routes(routes!(scale_one))
        .routes(routes!(faults::list, faults::begin, faults::clear))
        .routes(routes!(faults::remove))
        .routes(routes!(faults::outage))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::acknowledge))
        .split_for_parts();
    public
        .route("/openapi.json", get(async || Json(api)))
        .route("/alerts", post(alerts::receive))
        .route("/ops/changes", get(changes))
        .with_state(app)
}

/// The journal's name for whoever is an operator: there is one such account.
const OPERATOR: &str = "operator";

/// Every replica, the golden signals and the queues.
#[utoipa::path(get, path = "/ops/state", tag = "ops", responses((status = 200, body = Platform)))]
async fn state(State(app): State<App>, _: Operator) -> Result<Json<Platform>> {
    let replicas = app.driver.replicas().await?;
    Ok(Json(Platform::with(&app, &replicas).await))
}

/// What was broken and healed, newest first.
#[utoipa::path(get, path = "/ops/journal", tag = "ops", params(Cursor), responses((status = 200, body = Page<Entry>)))]
async fn journal(
    State(app): State<App>,
    _: Operator,
    Query(cursor): Query<Cursor>,
) -> Result<Json<Page<Entry>>> {
    let limit = cursor.limit().map_err(Error::Invalid)?;
    let after = cursor.after(|text| text.parse().ok());
    let after = after.map_err(Error::Invalid)?;
    let entries = app.store.list(limit as i64 + 1, after).await?;
    Ok(Json(Page::new(entries, limit, |entry| {
        let place = Place {
            created_at: entry.at,
            id: entry.id,
        };
        place.to_string()
    })))
}

/// Kill a replica: this one, any of a service, or any at all.
///
/// It dies without a warning and is replaced. Send an `Idempotency-Key` to make a repeat safe.
#[utoipa::path(post, path = "/ops/kill", tag = "ops", request_body = Target,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses(
        (status = 202, body = Entry, description = "It is killed; the entry tells later when it was ready again"),
        (status = 403, body = ProblemBody, description = "`chaos_disabled`", content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, description = "`replica_not_found`", content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, description = "`last_replica`, or `busy`: a replacement is on its way", content_type = "application/problem+json"),
    ))]
async fn kill_one(
    State(app): State<App>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json(target): Json<Target>,
) -> Result<(StatusCode, Json<Entry>)> {
    let entry = kill::kill(&app, OPERATOR.to_owned(), key.as_deref(), &target).await?;
    Ok((StatusCode::ACCEPTED, Json(entry)))
}

/// Give a service a new version, one replica after the other, each only once another is ready.
///
/// A version that isn't ready in time is rolled back, and the rest of the old ones stay. Send an
/// `Idempotency-Key` to make a repeat safe.
#[utoipa::path(post, path = "/ops/rollout", tag = "ops", request_body = rollout::Order,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses(
        (status = 202, body = Entry, description = "It has begun; the entry tells later how it ended"),
        (status = 403, body = ProblemBody, description = "`chaos_disabled`", content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, description = "`service_not_found`", content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, description = "`busy`: a rollout is on its way", content_type = "application/problem+json"),
        (status = 501, body = ProblemBody, description = "`not_available_here`", content_type = "application/problem+json"),
    ))]
async fn roll_out(
    State(app): State<App>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json(order): Json<rollout::Order>,
) -> Result<(StatusCode, Json<Entry>)> {
    let entry = rollout::begin(&app, OPERATOR.to_owned(), key.as_deref(), &order).await?;
    Ok((StatusCode::ACCEPTED, Json(entry)))
}

/// Have more pods of a workload, fewer, or none: a service, or the cluster's own `postgres` and `redis`.
///
/// It stays so until somebody scales it again. Send an `Idempotency-Key` to make a repeat safe.
#[utoipa::path(post, path = "/ops/scale", tag = "ops", request_body = scale::Order,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses(
        (status = 202, body = Entry, description = "The cluster has been told"),
        (status = 403, body = ProblemBody, description = "`chaos_disabled`", content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, description = "`service_not_found`", content_type = "application/problem+json"),
        (status = 501, body = ProblemBody, description = "`not_available_here`", content_type = "application/problem+json"),
    ))]
async fn scale_one(
    State(app): State<App>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json(order): Json<scale::Order>,
) -> Result<(StatusCode, Json<Entry>)> {
    let entry = scale::scale(&app, OPERATOR, key.as_deref(), &order).await?;
    Ok((StatusCode::ACCEPTED, Json(entry)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct After {
    /// The `version` that the caller has.
    #[serde(default)]
    after: String,
}

#[derive(Serialize)]
struct Changes {
    /// The same for the same replicas, journal and alerts, from whichever replica of commander.
    version: String,
    state: Platform,
    /// Newest first.
    journal: Vec<Entry>,
    /// The latest change first.
    alerts: Vec<Alert>,
}

/// For the gateway's live stream: the platform as soon as its replicas, the journal or the alerts differ from what
/// the caller knows, or a little later if they don't.
async fn changes(
    State(app): State<App>,
    Query(After { after }): Query<After>,
) -> Result<Json<Changes>> {
    let until = Instant::now() + LONGEST_WAIT;
    let mut changed = app.changes.subscribe();
    let (replicas, journal, alerts, version) = loop {
        let replicas = app.driver.replicas().await?;
        let journal = app.store.list(NEWEST, None).await?;
        let alerts = app.store.alert_news(NEWEST).await?;
        let version = version(&replicas, &journal, &alerts);
        if version != after || timeout_at(until, changed.changed()).await.is_err() {
            break (replicas, journal, alerts, version);
        }
    };
    let state = Platform::with(&app, &replicas).await;
    Ok(Json(Changes {
        version,
        state,
        journal,
        alerts,
    }))
}

fn version(replicas: &[Replica], journal: &[Entry], alerts: &[Alert]) -> String {
    let mut hasher = DefaultHasher::new();
    replicas.hash(&mut hasher);
    for entry in journal {
        (entry.id, &entry.outcome).hash(&mut hasher);
    }
    for alert in alerts {
        (alert.id, alert.changed_at).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
