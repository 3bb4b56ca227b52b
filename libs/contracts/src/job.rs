//! Payloads of the background jobs; a kind of job is one of these.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A job to do, by kind. `POST /job` takes exactly this.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", content = "payload", rename_all = "snake_case")]
pub enum Job {
    /// Returns its payload.
    Echo(serde_json::Value),
    /// Fails, to see retries and dead letters at work.
    Fail(Fail),
    /// Takes time.
    Sleep(Sleep),
    /// Sales of a day by product.
    Report(Report),
    /// Stamps today's orders.
    TouchToday(Scheduled),
    /// Settles holds whose order never came.
    SweepHolds(Scheduled),
    /// Removes old finished jobs.
    Trim(Scheduled),
}

/// The kinds there are, as they are written.
pub const KINDS: [&str; 7] = [
    "echo",
    "fail",
    "sleep",
    "report",
    "touch_today",
    "sweep_holds",
    "trim",
];

impl Job {
    /// Kind and payload, as they are queued.
    #[must_use]
    pub fn parts(&self) -> (String, serde_json::Value) {
        let mut whole = serde_json::to_value(self).expect("a job is plain data");
        let payload = whole["payload"].take();
        let kind = whole["kind"].as_str().unwrap_or_default().to_owned();
        (kind, payload)
    }

    /// The job of a queued kind and payload.
    ///
    /// # Errors
    /// When there is no such kind, or the payload isn't one of it.
    pub fn from_parts(kind: &str, payload: serde_json::Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::json!({"kind": kind, "payload": payload}))
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// Succeeds after failing this often; always fails when left out.
    #[serde(default)]
    pub times: Option<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// Milliseconds, at most 60,000.
    #[schema(maximum = 60000)]
    pub ms: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// `2026-11-21`, in the zone of TZ; today when left out.
    #[serde(default)]
    pub day: Option<String>,
}

/// Work that a schedule asks for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheduled {
    /// The tick this is for; now when left out.
    #[serde(default)]
    pub at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_and_survives_the_queue() {
        let jobs = [
            Job::Echo(serde_json::json!({"a": [1, null]})),
            Job::Fail(Fail { times: Some(2) }),
            Job::Sleep(Sleep { ms: 5 }),
            Job::Report(Report { day: None }),
            Job::TouchToday(Scheduled::default()),
            Job::SweepHolds(Scheduled::default()),
            Job::Trim(Scheduled::default()),
        ];
        for (job, listed) in jobs.iter().zip(KINDS) {
            let (kind, payload) = job.parts();
            assert_eq!(kind, listed);
            let back = Job::from_parts(&kind, payload.clone()).expect("reads back");
            assert_eq!(back.parts(), (kind, payload));
        }
    }
}
