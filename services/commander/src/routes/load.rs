//! `/ops/load`: load on purpose.
use super::OPERATOR;
use crate::{
    App,
    desk::Work,
    error::{Error, Result},
    load::plan::draw_seed,
    present_load::{LANE, Load, Spec},
    store::runs::{RUNNING, Run},
};
use axum::{extract::State, http::StatusCode};
use service::{Json, Operator, ProblemBody};
use uuid::Uuid;

/// The present load, or the last one; null before the first.
#[utoipa::path(get, path = "/ops/load", tag = "ops", responses((status = 200, body = Option<Load>)))]
pub async fn show(State(app): State<App>, _: Operator) -> Result<Json<Option<Load>>> {
    let last = app.runs.list(LANE, 1).await?;
    Ok(Json(last.first().and_then(Load::of)))
}

/// Put load on the platform: so many requests per second, whatever the answers do.
#[utoipa::path(post, path = "/ops/load", tag = "ops", request_body = Spec, responses(
    (status = 202, body = Load, description = "It begins"),
    (status = 403, body = ProblemBody, description = "`chaos_disabled`", content_type = "application/problem+json"),
    (status = 409, body = ProblemBody, description = "`busy`: another load runs", content_type = "application/problem+json"),
    (status = 422, body = ProblemBody, description = "A field is out of bounds", content_type = "application/problem+json"),
))]
pub async fn begin(
    State(app): State<App>,
    _: Operator,
    Json(mut spec): Json<Spec>,
) -> Result<(StatusCode, Json<Load>)> {
    if !app.chaos {
        return Err(Error::Disabled);
    }
    spec.check()?;
    let seed = *spec.seed.get_or_insert_with(draw_seed);
    let id = Uuid::now_v7();
    let load = Load::new(id, &spec, seed);
    let kind = serde_json::to_value(spec.kind).unwrap_or_default();
    let run = Run {
        id,
        at: db::now(),
        who: OPERATOR.to_owned(),
        lane: LANE.to_owned(),
        kind: LANE.to_owned(),
        name: kind.as_str().unwrap_or_default().to_owned(),
        seed: i64::try_from(seed).unwrap_or(i64::MAX),
        hidden: false,
        state: RUNNING.to_owned(),
        hints: 0,
        verdict: None,
        live: serde_json::to_string(&load).unwrap_or_default(),
        report: None,
        markdown: None,
    };
    let detail = format!(
        "{} per second for {} s, seed {seed}",
        spec.rate, spec.seconds
    );
    if !app.runs.begin(&run, &detail).await? {
        return Err(Error::Occupied(
            "one load at a time; DELETE /api/ops/load ends it",
        ));
    }
    if !app.desk.leave(Work::Load(id, spec)) {
        return Err(Error::Occupied("this replica is about to end"));
    }
    app.changes.send_replace(());
    Ok((StatusCode::ACCEPTED, Json(load)))
}

/// End the present load; it is fine if there is none.
#[utoipa::path(delete, path = "/ops/load", tag = "ops", responses((status = 204)))]
pub async fn end(State(app): State<App>, _: Operator) -> Result<StatusCode> {
    app.runs.stop(LANE).await?;
    Ok(StatusCode::NO_CONTENT)
}
