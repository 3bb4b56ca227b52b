//! An alert of the inbox, and the webhook it comes by.
use chrono::{DateTime, Datelike as _, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};
use service::Problem;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The payload that is understood:
/// <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.
const VERSION: &str = "4";
/// Longer texts are cut.
const MAX_TEXT: usize = 1000;
/// Longer names of alerts, severities and teams are cut.
const MAX_NAME: usize = 100;
const MAX_FINGERPRINT: usize = 128;

/// An alert, from the time it fired until it is forgotten.
#[derive(Clone, Debug, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Alert {
    pub id: Uuid,
    pub name: String,
    /// The label of that name, or `unknown`.
    pub severity: String,
    pub team: Option<String>,
    /// `firing` or `resolved`.
    pub state: String,
    pub summary: String,
    pub description: Option<String>,
    pub runbook_url: Option<String>,
    pub dashboard_url: Option<String>,
    #[sqlx(try_from = "String")]
    #[schema(value_type = Object)]
    pub labels: Labels,
    pub starts_at: DateTime<Utc>,
    /// Null while it fires.
    pub ends_at: Option<DateTime<Utc>>,
    /// When somebody said that they have seen it; null until then, and when it fires again.
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub acknowledged_by: Option<String>,
    #[serde(skip)]
    pub fingerprint: String,
    #[serde(skip)]
    pub changed_at: DateTime<Utc>,
}

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Firing,
    Resolved,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// All labels of an alert.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

impl TryFrom<String> for Labels {
    type Error = serde_json::Error;
    fn try_from(json: String) -> Result<Self, serde_json::Error> {
        serde_json::from_str(&json)
    }
}

impl Labels {
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a map of texts is JSON")
    }

    /// A value, as far as it fits; none where it is empty.
    fn get(&self, name: &str, max: usize) -> Option<String> {
        let text = self.0.get(name)?;
        let end = text.floor_char_boundary(max);
        // Postgres has no place for a NUL.
        let text = text[..end].replace('\0', "");
        (!text.is_empty()).then_some(text)
    }
}

/// What Alertmanager sends. It may say more than this in its next release.
#[derive(Debug, Deserialize)]
pub struct Webhook {
    version: String,
    alerts: Vec<Told>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    status: State,
    labels: Labels,
    #[serde(default)]
    annotations: Labels,
    starts_at: DateTime<Utc>,
    /// Year 1 while it fires.
    ends_at: Option<DateTime<Utc>>,
    fingerprint: String,
}

impl Webhook {
    /// The alerts in it, as news of now.
    ///
    /// # Errors
    /// 422 for another version, or an alert without a usable time or fingerprint.
    pub fn alerts(&self) -> Result<Vec<Alert>, Problem> {
        if self.version != VERSION {
            return Err(Problem::invalid("/version", "must be \"4\""));
        }
        let now = db::now();
        let alerts = self.alerts.iter().enumerate();
        alerts.map(|(i, told)| told.alert(i, now)).collect()
    }
}

impl Told {
    fn alert(&self, index: usize, now: DateTime<Utc>) -> Result<Alert, Problem> {
        let refuse = |field: &str, why| Problem::invalid(format!("/alerts/{index}/{field}"), why);
        let fingerprint = &self.fingerprint;
        let fits = (1..=MAX_FINGERPRINT).contains(&fingerprint.len());
        if !fits || !fingerprint.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(refuse("fingerprint", "must be 1 to 128 visible characters"));
        }
        if !usable(self.starts_at) {
            return Err(refuse("startsAt", "must be a time of our days"));
        }
        let ended = self.ends_at.filter(|at| usable(*at)).unwrap_or(now);
        let ends_at = (self.status == State::Resolved).then(|| ended.trunc_subsecs(6));
        let label = |name| self.labels.get(name, MAX_NAME);
        let note = |name| self.annotations.get(name, MAX_TEXT);
        let name = label("alertname").unwrap_or_else(|| "unnamed".to_owned());
        Ok(Alert {
            id: Uuid::now_v7(),
            severity: label("severity").unwrap_or_else(|| "unknown".to_owned()),
            team: label("team"),
            state: self.status.as_str().to_owned(),
            summary: note("summary").unwrap_or_else(|| name.clone()),
            name,
            description: note("description"),
            runbook_url: note("runbook_url"),
            dashboard_url: note("dashboard_url"),
            labels: self.labels.clone(),
            starts_at: self.starts_at.trunc_subsecs(6),
            ends_at,
            acknowledged_at: None,
            acknowledged_by: None,
            fingerprint: fingerprint.clone(),
            changed_at: now,
        })
    }
}

/// A time that both databases can store, and that text orders as time does.
fn usable(at: DateTime<Utc>) -> bool {
    (2000..=9999).contains(&at.year())
}
