//! `/ops/drills`: what there is, and runs of it.
use super::OPERATOR;
use crate::{
    App,
    audit::collect::Patience,
    desk::Work,
    drill::{course::Options, file::Drill, progress::Story, report::Verdict},
    error::{Error, Result},
    load::plan::draw_seed,
    store::runs::{OVER, RUNNING, Run},
};
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use service::{Json, Operator, Path, Problem, ProblemBody};
use std::time::Duration;
use uuid::Uuid;

pub const LANE: &str = "drill";
const DRILL: &str = "drill";
pub const EXERCISE: &str = "exercise";
/// Instead of a name: the seed picks one.
const ANY: &str = "any";
/// An exercise is over by then.
const HOLD: f64 = 590.0;
/// An event that failed waits up to a minute for its next try.
const SETTLE: Duration = Duration::from_secs(90);
const HOLDS: Duration = Duration::from_secs(200);
const LAST: i64 = 50;

/// A drill as it is offered.
#[derive(Serialize, utoipa::ToSchema)]
pub struct DrillView {
    name: String,
    title: String,
    story: String,
    hypothesis: String,
    /// Whether it must pass before a release.
    gate: bool,
    /// How many there are.
    hints: usize,
    /// Alerts, one of which should fire.
    alerts: Vec<String>,
    runbook: String,
    question: String,
}

impl DrillView {
    fn of(drill: &Drill) -> Self {
        Self {
            name: drill.name.to_string(),
            title: drill.title.to_string(),
            story: drill.story.to_string(),
            hypothesis: drill.hypothesis.text.to_string(),
            gate: drill.gate,
            hints: drill.hints.0.len(),
            alerts: drill.alert.names.iter().map(ToString::to_string).collect(),
            runbook: drill.alert.runbook.0.to_string(),
            question: drill.root_cause.question.to_string(),
        }
    }
}

/// A list of all.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Items<T> {
    items: Vec<T>,
}

/// A run of a drill, or an exercise.
#[derive(Serialize, utoipa::ToSchema)]
pub struct RunView {
    id: Uuid,
    at: DateTime<Utc>,
    who: String,
    /// `drill` or `exercise`.
    kind: String,
    /// Null while it is hidden.
    drill: Option<String>,
    seed: i64,
    hidden: bool,
    /// `running`, `over` or `lost`.
    state: String,
    /// `steady`, `fault`, `recovery`, `audit`, `over`.
    phase: String,
    /// Empty while it is hidden.
    #[schema(value_type = Vec<crate::drill::progress::Event>)]
    timeline: Vec<Value>,
    story: Option<String>,
    /// Hints given.
    hints: i64,
    /// `passed`, `failed`, `inconclusive` or `aborted`.
    verdict: Option<String>,
    /// All that was found out; null while it runs.
    #[schema(value_type = Option<Object>)]
    report: Option<Box<RawValue>>,
}

impl RunView {
    /// `whole` is with timeline and report.
    pub fn of(app: &App, run: Run, whole: bool) -> Self {
        let drill = app.drills.get(&run.name);
        let secret = run.hidden && run.is_running() && run.verdict.is_none();
        let story: Value = serde_json::from_str(&run.live).unwrap_or_default();
        let timeline = story["timeline"].as_array().cloned().unwrap_or_default();
        let report = run.report.filter(|_| whole && !secret);
        Self {
            id: run.id,
            at: run.at,
            who: run.who,
            kind: run.kind,
            story: drill.map(|d| d.story.to_string()),
            drill: (!secret).then_some(run.name),
            seed: run.seed,
            hidden: run.hidden,
            phase: story["phase"].as_str().unwrap_or("steady").to_owned(),
            state: run.state,
            timeline: if whole && !secret {
                timeline
            } else {
                Vec::new()
            },
            hints: run.hints,
            verdict: run.verdict,
            report: report.and_then(|text| RawValue::from_string(text).ok()),
        }
    }
}

/// All drills.
#[utoipa::path(get, path = "/ops/drills", tag = "drills", responses((status = 200, body = Items<DrillView>)))]
pub async fn list(State(app): State<App>, _: Operator) -> Json<Items<DrillView>> {
    let items = app.drills.all().iter().map(DrillView::of).collect();
    Json(Items { items })
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Start {
    /// Decides victims and load, and the drill when that is `any`; less than 2^53.
    seed: Option<u64>,
    /// Tell nobody which drill it is before its end.
    hidden: bool,
}

/// Run a drill; `any` lets the seed pick one.
#[utoipa::path(post, path = "/ops/drills/{name}/run", tag = "drills", request_body = Start,
    params(("name" = String, Path)), responses(
    (status = 202, body = RunView),
    (status = 403, body = ProblemBody, description = "`chaos_disabled`", content_type = "application/problem+json"),
    (status = 404, body = ProblemBody, description = "`drill_not_found`", content_type = "application/problem+json"),
    (status = 409, body = ProblemBody, description = "`busy`: another drill runs", content_type = "application/problem+json"),
))]
pub async fn run(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
    Json(start): Json<Start>,
) -> Result<(StatusCode, Json<RunView>)> {
    begin(&app, &name, &start, None).await
}

/// Break the platform and leave it to people to find out what is wrong; over after ten minutes.
#[utoipa::path(post, path = "/ops/drills/{name}/break", tag = "drills", request_body = Start,
    params(("name" = String, Path)), responses(
    (status = 202, body = RunView),
    (status = 403, body = ProblemBody, description = "`chaos_disabled`", content_type = "application/problem+json"),
    (status = 404, body = ProblemBody, description = "`drill_not_found`", content_type = "application/problem+json"),
    (status = 409, body = ProblemBody, description = "`busy`: another drill runs", content_type = "application/problem+json"),
))]
pub async fn break_it(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
    Json(start): Json<Start>,
) -> Result<(StatusCode, Json<RunView>)> {
    begin(&app, &name, &start, Some(HOLD)).await
}

async fn begin(
    app: &App,
    name: &str,
    start: &Start,
    hold: Option<f64>,
) -> Result<(StatusCode, Json<RunView>)> {
    if !app.chaos {
        return Err(Error::Disabled);
    }
    let seed = start.seed.unwrap_or_else(draw_seed);
    if seed >= 1 << 53 {
        return Err(Error::Invalid(Problem::invalid("/seed", "less than 2^53")));
    }
    let drill = match name {
        ANY => app.drills.draw(seed),
        name => app.drills.get(name),
    };
    let drill = drill.ok_or(Error::NoDrill)?;
    let kind = if hold.is_some() { EXERCISE } else { DRILL };
    let run = Run {
        id: Uuid::now_v7(),
        at: db::now(),
        who: OPERATOR.to_owned(),
        lane: LANE.to_owned(),
        kind: kind.to_owned(),
        name: drill.name.to_string(),
        seed: i64::try_from(seed).unwrap_or(i64::MAX),
        hidden: start.hidden,
        state: RUNNING.to_owned(),
        hints: 0,
        verdict: None,
        live: serde_json::to_string(&Story::default()).unwrap_or_default(),
        report: None,
        markdown: None,
    };
    if !app.runs.begin(&run, &format!("seed {seed}")).await? {
        return Err(Error::Occupied(
            "one drill at a time; POST /api/ops/drills/restore ends it",
        ));
    }
    let options = Options {
        seed,
        patience: Patience {
            settle: SETTLE,
            holds: HOLDS,
        },
        alerts: false,
        hold,
    };
    let work = Work::Drill(Box::new(run.clone()), Box::new(drill.clone()), options);
    if !app.desk.leave(work) {
        return Err(Error::Occupied("this replica is about to end"));
    }
    app.changes.send_replace(());
    Ok((StatusCode::ACCEPTED, Json(RunView::of(app, run, true))))
}

/// The last runs, newest first.
#[utoipa::path(get, path = "/ops/drills/runs", tag = "drills", responses((status = 200, body = Items<RunView>)))]
pub async fn runs(State(app): State<App>, _: Operator) -> Result<Json<Items<RunView>>> {
    let runs = app.runs.list(LANE, LAST).await?;
    let items = runs.into_iter().map(|run| RunView::of(&app, run, false));
    Ok(Json(Items {
        items: items.collect(),
    }))
}

/// One run.
#[utoipa::path(get, path = "/ops/drills/runs/{id}", tag = "drills", params(("id" = Uuid, Path)), responses(
    (status = 200, body = RunView),
    (status = 404, body = ProblemBody, description = "`run_not_found`", content_type = "application/problem+json"),
))]
pub async fn show(
    State(app): State<App>,
    _: Operator,
    Path(id): Path<Uuid>,
) -> Result<Json<RunView>> {
    let run = find(&app, id).await?;
    Ok(Json(RunView::of(&app, run, true)))
}

async fn find(app: &App, id: Uuid) -> Result<Run> {
    let run = app.runs.get(id).await?;
    run.filter(|run| run.lane == LANE).ok_or(Error::NoRun)
}

/// The draft of its postmortem, in Markdown; 404 while it runs.
#[utoipa::path(get, path = "/ops/drills/runs/{id}/report", tag = "drills", params(("id" = Uuid, Path)), responses(
    (status = 200, body = String, content_type = "text/markdown"),
    (status = 404, body = ProblemBody, description = "`run_not_found`", content_type = "application/problem+json"),
))]
pub async fn report(
    State(app): State<App>,
    _: Operator,
    Path(id): Path<Uuid>,
) -> Result<impl IntoResponse> {
    let text = find(&app, id).await?.markdown.ok_or(Error::NoRun)?;
    let kind = HeaderValue::from_static("text/markdown; charset=utf-8");
    Ok(([(CONTENT_TYPE, kind)], text))
}

/// A run that somebody else has made, such as the command line.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Finished {
    id: Uuid,
    drill: String,
    seed: u64,
    #[schema(value_type = String)]
    verdict: Verdict,
    #[schema(value_type = Object)]
    report: Value,
    markdown: String,
}

/// Keep the report of a run made elsewhere.
#[utoipa::path(post, path = "/ops/drills/runs", tag = "drills", request_body = Finished, responses(
    (status = 201, body = RunView),
    (status = 404, body = ProblemBody, description = "`drill_not_found`", content_type = "application/problem+json"),
))]
pub async fn keep(
    State(app): State<App>,
    _: Operator,
    Json(finished): Json<Finished>,
) -> Result<(StatusCode, Json<RunView>)> {
    let drill = app.drills.get(&finished.drill).ok_or(Error::NoDrill)?;
    let story = serde_json::json!({ "phase": OVER, "timeline": finished.report["timeline"] });
    let run = Run {
        id: finished.id,
        at: db::now(),
        who: OPERATOR.to_owned(),
        lane: LANE.to_owned(),
        kind: DRILL.to_owned(),
        name: drill.name.to_string(),
        seed: i64::try_from(finished.seed).unwrap_or(i64::MAX),
        hidden: false,
        state: OVER.to_owned(),
        hints: 0,
        verdict: Some(finished.verdict.name().to_owned()),
        live: story.to_string(),
        report: Some(finished.report.to_string()),
        markdown: Some(finished.markdown),
    };
    if app.runs.put(&run).await? {
        app.metrics.drilled(&drill.name, finished.verdict);
    }
    Ok((StatusCode::CREATED, Json(RunView::of(&app, run, true))))
}
