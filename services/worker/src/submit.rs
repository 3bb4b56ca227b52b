//! From a request to a queued job: validation and idempotency.
use crate::{
    App,
    error::{Error, Result},
};
use chrono::{DateTime, Utc};
use contracts::{JOBS, job};
use queue::{Job, NewJob, Pushed};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use service::Problem;
use uuid::Uuid;

/// Namespace of the job ids that are derived from keys (UUID version 5).
const KEYS: Uuid = Uuid::from_u128(0x5ea3_a11e_0b5d_4f6e_9d5c_6a0b_5f00_0001);

/// What is asked for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// `echo`, `fail`, `sleep`, `report`, `touch_today`, `sweep_holds` or `trim`.
    #[schema(example = "echo")]
    kind: String,
    /// What the kind takes.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"hello": "world"}))]
    payload: Option<Value>,
    /// Not before this time.
    #[serde(default)]
    run_at: Option<DateTime<Utc>>,
    /// Tries before it is a dead letter, 1 to 25; 5 when left out.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 25)]
    max_attempts: Option<u32>,
}

impl Submit {
    /// The job it stands for.
    fn parse(&self) -> Result<job::Job> {
        let payload = self.payload.clone().unwrap_or_else(|| json!({}));
        if !job::KINDS.contains(&self.kind.as_str()) {
            let known = job::KINDS.join(", ");
            return Err(Error::Invalid(Problem::invalid(
                "/kind",
                format!("must be one of {known}"),
            )));
        }
        // Derived readers take the values of an object as a list, too; we don't.
        if self.kind != "echo" && !payload.is_object() {
            return Err(Error::Invalid(Problem::invalid(
                "/payload",
                "must be an object",
            )));
        }
        let parsed = job::Job::from_parts(&self.kind, payload)
            .map_err(|e| Error::Invalid(Problem::invalid("/payload", short(e.to_string()))))?;
        match &parsed {
            job::Job::Sleep(sleep) if sleep.ms > 60_000 => Err(Error::Invalid(Problem::invalid(
                "/payload/ms",
                "must be at most 60000",
            ))),
            job::Job::Report(report)
                if report
                    .day
                    .as_deref()
                    .is_some_and(|d| crate::clock::parse_day(d).is_none()) =>
            {
                Err(Error::Invalid(Problem::invalid(
                    "/payload/day",
                    "must be a date such as 2026-11-21",
                )))
            }
            parsed => Ok(parsed.clone()),
        }
    }

    fn max_attempts(&self) -> Result<u32> {
        match self.max_attempts {
            None => Ok(5),
            Some(n @ 1..=25) => Ok(n),
            Some(_) => Err(Error::Invalid(Problem::invalid(
                "/max_attempts",
                "must be 1 to 25",
            ))),
        }
    }
}

/// Texts that echo the input stay short.
fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(200));
    text
}

/// The same whatever the order of its fields.
fn value(payload: &RawValue) -> Value {
    serde_json::from_str(payload.get()).unwrap_or_default()
}

/// The queue's form of a job.
pub fn new_job(job: &job::Job) -> Result<NewJob> {
    let (kind, payload) = job.parts();
    Ok(NewJob::new(kind, &payload)?)
}

/// Queues a job. The same key again is the same job.
pub async fn submit(app: &App, key: Option<&str>, submit: Submit) -> Result<Job> {
    let mut new = new_job(&submit.parse()?)?;
    new.max_attempts = submit.max_attempts()?;
    new.run_at = submit.run_at;
    if let Some(key) = key {
        new.id = Uuid::new_v5(&KEYS, key.as_bytes());
    }
    let pushed = app.queue.push(JOBS, std::slice::from_ref(&new)).await?;
    let job = app.queue.job(JOBS, new.id).await?.ok_or(Error::NotFound)?;
    let same = (&job.kind, value(&job.payload), job.max_attempts)
        == (&new.kind, value(&new.payload), new.max_attempts);
    if pushed.first() == Some(&Pushed::Duplicate) && !same {
        return Err(Error::KeyReused);
    }
    Ok(job)
}
