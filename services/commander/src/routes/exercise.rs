//! Exercises: something is broken, and people find out what.
use super::drills::{EXERCISE, LANE};
use crate::{
    App,
    drill::{course::healthy, file::Drill, ops::Ops},
    error::{Error, Result},
    store::runs::Run,
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use service::{Json, Operator, Path, ProblemBody};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Instead of a name: the one under way.
const PRESENT: &str = "present";
/// How long a repair is waited for; it goes on beyond that. Below the limit of a try of a call: else the gateway
/// would ask the other commander, who finds nothing under way any more.
const REPAIR: Duration = Duration::from_millis(600);
const LOOK: Duration = Duration::from_millis(100);

/// The exercise under way; with a name it must be of that drill.
async fn present<'a>(app: &'a App, name: &str) -> Result<(Run, &'a Drill)> {
    let run = app.runs.present(LANE).await?;
    let run = run
        .filter(|run| run.kind == EXERCISE)
        .ok_or(Error::NoExercise)?;
    if name != PRESENT && name != run.name {
        return Err(Error::NoExercise);
    }
    let drill = app.drills.get(&run.name).ok_or(Error::NoDrill)?;
    Ok((run, drill))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Hint {
    /// From 1.
    number: i64,
    of: usize,
    hint: String,
}

/// The next hint for the exercise under way (`present`, or its drill's name); the last one again after that.
#[utoipa::path(get, path = "/ops/drills/{name}/hint", tag = "drills", params(("name" = String, Path)), responses(
    (status = 200, body = Hint),
    (status = 409, body = ProblemBody, description = "`no_exercise`", content_type = "application/problem+json"),
))]
pub async fn hint(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
) -> Result<Json<Hint>> {
    let (run, drill) = present(&app, &name).await?;
    let hints = &drill.hints.0;
    let number = app.runs.hint(run.id, hints.len() as i64).await?;
    let at = usize::try_from(number - 1).unwrap_or_default();
    Ok(Json(Hint {
        number,
        of: hints.len(),
        hint: hints[at.min(hints.len() - 1)].to_string(),
    }))
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// The root cause; without it only the platform is looked at.
    answer: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Verified {
    question: String,
    /// `right`, `wrong` or `none given`.
    answer: &'static str,
    /// All replicas ready, and no fault active.
    healthy: bool,
    /// Why it isn't healthy.
    reasons: Vec<String>,
    /// The answer is right; without one, the platform is healthy.
    solved: bool,
    /// Which drill it is, once the answer is right.
    drill: Option<String>,
}

/// Say what was wrong, and have the platform looked at.
#[utoipa::path(post, path = "/ops/drills/{name}/verify", tag = "drills", request_body = Answer,
    params(("name" = String, Path)), responses(
    (status = 200, body = Verified),
    (status = 409, body = ProblemBody, description = "`no_exercise`", content_type = "application/problem+json"),
))]
pub async fn verify(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
    Json(given): Json<Answer>,
) -> Result<Json<Verified>> {
    let (run, drill) = present(&app, &name).await?;
    let looked = async {
        let mut ops = Ops::open(&app.site).await?;
        ops.picture().await
    };
    let picture = looked.await.map_err(Error::Drill)?;
    let reasons: Vec<_> = healthy(&picture)
        .err()
        .iter()
        .map(ToString::to_string)
        .collect();
    let right = given.answer.as_deref().map(|answer| drill.accepts(answer));
    if right == Some(true) {
        app.runs.solve(run.id).await?;
    }
    Ok(Json(Verified {
        question: drill.root_cause.question.to_string(),
        answer: match right {
            Some(true) => "right",
            Some(false) => "wrong",
            None => "none given",
        },
        healthy: reasons.is_empty(),
        solved: right.unwrap_or(reasons.is_empty()),
        drill: (right == Some(true)).then_some(run.name),
        reasons,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Restored {
    /// What it was; null when nothing was under way.
    drill: Option<String>,
    /// Whether the repair is done; it goes on by itself.
    done: bool,
}

/// End whatever drill or exercise is under way, and take back what it broke.
#[utoipa::path(post, path = "/ops/drills/restore", tag = "drills", responses((status = 200, body = Restored)))]
pub async fn restore(State(app): State<App>, _: Operator) -> Result<Json<Restored>> {
    let run = app.runs.present(LANE).await?;
    app.runs.stop(LANE).await?;
    let deadline = Instant::now() + REPAIR;
    let mut done = run.is_none();
    while !done && Instant::now() < deadline {
        sleep(LOOK).await;
        done = app.runs.present(LANE).await?.is_none();
    }
    Ok(Json(Restored {
        drill: run.map(|run| run.name),
        done,
    }))
}
