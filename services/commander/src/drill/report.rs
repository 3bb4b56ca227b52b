//! Everything that one run found out, and what it means.
use super::{
    alerts::Firing,
    file::Drill,
    measure::{Recovery, Requests, Second},
    progress::Event,
};
use crate::audit::findings::Findings;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// What a run has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Passed,
    Failed,
    /// It proves nothing: unhealthy to begin with, not injected, or not seen.
    Inconclusive,
    /// Somebody called it off.
    Aborted,
}

impl Verdict {
    pub const ALL: [Self; 4] = [
        Self::Passed,
        Self::Failed,
        Self::Inconclusive,
        Self::Aborted,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Aborted => "aborted",
        }
    }

    /// Of a process: 0 passed, 1 failed, 2 nothing was shown.
    pub fn exit(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Inconclusive | Self::Aborted => 2,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One pass mark and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Mark {
    pub mark: &'static str,
    pub limit: String,
    pub measured: String,
    pub passed: bool,
}

/// How it was found out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Detection {
    /// Whether anybody could be asked.
    pub observed: bool,
    pub expected: Vec<String>,
    /// The first of these that fired after the fault began.
    pub alert: Option<String>,
    /// From the fault to that.
    pub seconds: Option<f64>,
    /// From the end of the fault until it was silent.
    pub cleared: Option<f64>,
    /// All that fired.
    pub fired: BTreeMap<String, Firing>,
}

impl Detection {
    /// For people.
    pub fn told(&self) -> String {
        match (&self.alert, self.seconds) {
            (Some(alert), Some(seconds)) => format!("{seconds:.1} s, by {alert}"),
            _ if !self.observed => {
                "not observed: no Prometheus or Alertmanager was asked".to_owned()
            }
            _ => "no expected alert fired".to_owned(),
        }
    }
}

/// What the service level objective lets go wrong among so many requests, and what did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Budget {
    pub objective_percent: f64,
    pub allowed: f64,
    pub bad: u64,
    /// Of what is allowed; null where nothing is.
    pub spent_percent: Option<f64>,
}

/// The whole.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub id: Uuid,
    pub drill: String,
    pub title: String,
    pub seed: u64,
    pub version: &'static str,
    pub revision: &'static str,
    pub environment: String,
    pub started_at: DateTime<Utc>,
    pub seconds: f64,
    pub verdict: Verdict,
    /// Why it isn't passed.
    pub reasons: Vec<String>,
    pub victims: Vec<String>,
    pub marks: Vec<Mark>,
    /// When the fault began and ended, seconds after the load began.
    pub fault_from: Option<f64>,
    pub fault_until: Option<f64>,
    pub requests: Requests,
    pub recovery: Recovery,
    pub detection: Detection,
    pub budget: Budget,
    pub audit: Option<Findings>,
    pub timeline: Vec<Event>,
    pub by_second: Vec<Second>,
    pub hypothesis: String,
    pub story: String,
    pub runbook: String,
    pub question: String,
}

impl Report {
    /// Of a run that has not begun.
    pub fn new(drill: &Drill, seed: u64) -> Self {
        Self {
            id: Uuid::now_v7(),
            drill: drill.name.to_string(),
            title: drill.title.to_string(),
            seed,
            version: telemetry::VERSION,
            revision: telemetry::REVISION,
            environment: String::new(),
            started_at: db::now(),
            seconds: 0.0,
            verdict: Verdict::Inconclusive,
            reasons: Vec::new(),
            victims: Vec::new(),
            marks: Vec::new(),
            fault_from: None,
            fault_until: None,
            requests: Requests::default(),
            recovery: Recovery::default(),
            detection: Detection {
                expected: drill.alert.names.iter().map(ToString::to_string).collect(),
                ..Detection::default()
            },
            budget: Budget::default(),
            audit: None,
            timeline: Vec::new(),
            by_second: Vec::new(),
            hypothesis: drill.hypothesis.text.to_string(),
            story: drill.story.to_string(),
            runbook: drill.alert.runbook.0.to_string(),
            question: drill.root_cause.question.to_string(),
        }
    }
}
