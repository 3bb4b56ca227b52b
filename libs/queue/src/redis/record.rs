//! A job as Redis holds it: what never changes in one JSON record, the rest beside it.
use crate::{Error, Job, NewJob, State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Serialize, Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: Cow<'a, RawValue>,
    /// Milliseconds since 1970, like all times here.
    created_at: i64,
    run_at: i64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    request_id: Option<Cow<'a, str>>,
}

/// The record of a new job: its `max_attempts`, where a script finds it without parsing JSON,
/// a blank, and the rest.
pub(super) fn encode(job: &NewJob) -> String {
    let now = Utc::now().timestamp_millis();
    let record = Record {
        kind: Cow::Borrowed(&job.kind),
        payload: Cow::Borrowed(&job.payload),
        created_at: now,
        run_at: job.run_at.map_or(now, |at| at.timestamp_millis()),
        traceparent: job.traceparent.as_deref().map(Cow::Borrowed),
        request_id: job.request_id.as_deref().map(Cow::Borrowed),
    };
    let record = serde_json::to_string(&record).expect("strings and numbers have a JSON form");
    format!("{} {record}", job.max_attempts)
}

/// What Redis knows about a job besides its record.
pub(super) struct Standing {
    pub state: State,
    /// The job's score in the set of its state.
    pub at: i64,
    pub failed: u32,
    pub last_error: Option<String>,
    pub result: Option<String>,
    /// 0 outside of a claim.
    pub token: i64,
}

pub(super) fn decode(
    queue: &str,
    id: &str,
    record: &str,
    standing: Standing,
) -> Result<Job, Error> {
    let unreadable = |e: &dyn std::fmt::Display| Error::Unreadable(e.to_string());
    let (max_attempts, record) = record.split_once(' ').unwrap_or(("", record));
    let record: Record<'_> = serde_json::from_str(record).map_err(|e| unreadable(&e))?;
    let Standing { state, at, .. } = standing;
    let run_at = match state {
        State::Waiting | State::Retrying => at,
        State::Running | State::Done | State::Dead => record.run_at,
    };
    let result = standing.result.as_deref().map(serde_json::from_str);
    Ok(Job {
        id: id.parse().map_err(|e| unreadable(&e))?,
        queue: queue.to_owned(),
        kind: record.kind.into_owned(),
        payload: record.payload.into_owned(),
        state,
        // The run that goes on or went well counts as well.
        attempts: standing.failed + u32::from(matches!(state, State::Running | State::Done)),
        max_attempts: max_attempts.parse().map_err(|e| unreadable(&e))?,
        last_error: standing.last_error,
        result: result.transpose().map_err(|e| unreadable(&e))?,
        created_at: time(record.created_at),
        run_at: time(run_at),
        finished_at: matches!(state, State::Done | State::Dead).then(|| time(at)),
        traceparent: record.traceparent.map(Cow::into_owned),
        request_id: record.request_id.map(Cow::into_owned),
        token: standing.token,
    })
}

fn time(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}
