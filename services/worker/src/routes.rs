//! The routes of the worker.
use crate::{
    App,
    error::{Error, Result},
    submit::{self, Submit},
};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use contracts::JOBS;
use queue::{Filter, State as JobState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service::{Cursor, IdempotencyKey, Json, Operator, Page, Path, ProblemBody, Query};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

pub fn routes(app: App) -> Router {
    let (public, api) = OpenApiRouter::new()
        .routes(routes!(submit_one))
        .routes(routes!(list, submit_another))
        .routes(routes!(dead))
        .routes(routes!(retry_dead))
        .routes(routes!(show))
        .routes(routes!(retry))
        .split_for_parts();
    public
        .route("/openapi.json", get(async || Json(api)))
        .route("/queues", get(queues))
        .with_state(app)
}

/// A background job.
#[derive(Serialize, utoipa::ToSchema)]
struct JobView {
    id: Uuid,
    kind: String,
    payload: Value,
    /// `waiting`, `running`, `done`, `retrying` or `dead`.
    state: String,
    /// How often it was started.
    attempts: u32,
    max_attempts: u32,
    last_error: Option<String>,
    result: Option<Value>,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it is or was due.
    #[schema(format = DateTime)]
    run_at: String,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
}

impl From<queue::Job> for JobView {
    fn from(job: queue::Job) -> Self {
        let time = |at: chrono::DateTime<chrono::Utc>| {
            at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
        };
        Self {
            payload: job.parse().unwrap_or_default(),
            id: job.id,
            kind: job.kind,
            state: job.state.as_str().to_owned(),
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            last_error: job.last_error,
            result: job.result,
            created_at: time(job.created_at),
            run_at: time(job.run_at),
            finished_at: job.finished_at.map(time),
        }
    }
}

/// Queue a job.
///
/// Send an `Idempotency-Key` to make a repeat safe: the same key gives the same job.
#[utoipa::path(post, path = "/job", tag = "jobs", request_body = Submit,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters")),
    responses(
        (status = 202, body = JobView, description = "The job, waiting or further"),
        (status = 422, body = ProblemBody, description = "A field is not valid, or the key belongs to another job", content_type = "application/problem+json"),
    ))]
async fn submit_one(
    State(app): State<App>,
    _: Operator,
    IdempotencyKey(key): IdempotencyKey,
    Json(new): Json<Submit>,
) -> Result<(StatusCode, Json<JobView>)> {
    let job = submit::submit(&app, key.as_deref(), new).await?;
    Ok((StatusCode::ACCEPTED, Json(job.into())))
}

/// Queue a job; the same as `/job`.
#[utoipa::path(post, path = "/jobs", tag = "jobs", request_body = Submit, responses((status = 202, body = JobView)))]
async fn submit_another(
    state: State<App>,
    operator: Operator,
    key: IdempotencyKey,
    new: Json<Submit>,
) -> Result<(StatusCode, Json<JobView>)> {
    submit_one(state, operator, key, new).await
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct List {
    /// Items per page, 1 to 500; 50 when left out.
    limit: Option<u16>,
    /// The `next` of the page before.
    after: Option<String>,
    /// `waiting`, `running`, `done`, `retrying` or `dead`; all when left out.
    #[param(value_type = Option<String>)]
    state: Option<JobState>,
}

/// Jobs, newest first.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(List), responses((status = 200, body = Page<JobView>)))]
async fn list(
    State(app): State<App>,
    _: Operator,
    Query(list): Query<List>,
) -> Result<Json<Page<JobView>>> {
    page(
        &app,
        Cursor {
            limit: list.limit,
            after: list.after,
        },
        list.state,
    )
    .await
}

/// The dead letters: jobs that failed for good.
#[utoipa::path(get, path = "/jobs/dead", tag = "jobs", params(Cursor), responses((status = 200, body = Page<JobView>)))]
async fn dead(
    State(app): State<App>,
    _: Operator,
    Query(cursor): Query<Cursor>,
) -> Result<Json<Page<JobView>>> {
    page(&app, cursor, Some(JobState::Dead)).await
}

async fn page(app: &App, cursor: Cursor, state: Option<JobState>) -> Result<Json<Page<JobView>>> {
    let limit = cursor.limit().map_err(Error::Invalid)?;
    let page = app
        .queue
        .jobs(
            JOBS,
            Filter {
                state,
                limit,
                after: cursor.after,
            },
        )
        .await?;
    let items = page.items.into_iter().map(JobView::from).collect();
    Ok(Json(Page {
        items,
        next: page.next,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct Replayed {
    /// How many jobs were waiting in the dead letters and now run again.
    replayed: u64,
}

/// Replays all dead letters.
#[utoipa::path(post, path = "/jobs/dead/retry", tag = "jobs", responses((status = 200, body = Replayed)))]
async fn retry_dead(State(app): State<App>, _: Operator) -> Result<Json<Replayed>> {
    Ok(Json(Replayed {
        replayed: app.queue.retry_dead(JOBS).await?,
    }))
}

/// One job.
#[utoipa::path(get, path = "/jobs/{id}", tag = "jobs", params(("id" = Uuid, Path)), responses(
    (status = 200, body = JobView),
    (status = 404, body = ProblemBody, description = "`job_not_found`", content_type = "application/problem+json"),
))]
async fn show(State(app): State<App>, _: Operator, Path(id): Path<Uuid>) -> Result<Json<JobView>> {
    let job = app.queue.job(JOBS, id).await?.ok_or(Error::NotFound)?;
    Ok(Json(job.into()))
}

/// Starts a dead or retrying job again now, with all its tries before it.
#[utoipa::path(post, path = "/jobs/{id}/retry", tag = "jobs", params(("id" = Uuid, Path)), responses(
    (status = 200, body = JobView, description = "The job; unchanged when it was neither dead nor retrying"),
    (status = 404, body = ProblemBody, description = "`job_not_found`", content_type = "application/problem+json"),
))]
async fn retry(State(app): State<App>, _: Operator, Path(id): Path<Uuid>) -> Result<Json<JobView>> {
    let job = app.queue.retry(JOBS, id).await?.ok_or(Error::NotFound)?;
    Ok(Json(job.into()))
}

/// How deep the queues are, for the status page.
async fn queues(State(app): State<App>) -> Result<Json<Value>> {
    let mut queues = serde_json::Map::new();
    for name in crate::QUEUES {
        queues.insert(name.to_owned(), json!(app.queue.stats(name).await?));
    }
    Ok(Json(Value::Object(queues)))
}
