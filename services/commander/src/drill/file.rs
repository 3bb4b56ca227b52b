//! What a drill's file holds: strict, so that a typo is an error and not a mark that never counts.
use super::value::{
    Count, Hints, Millis, Names, Percent, Rate, Runbook, Seconds, Share, Spec, Text, Ttl,
};
use crate::load::plan::Kind;
use serde::{Deserialize, Serialize};

/// One drill.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drill {
    /// The same as the file's, without `.toml`.
    pub name: Text,
    pub title: Text,
    /// What happened, as somebody on call hears it.
    pub story: Text,
    /// Whether it must pass before a release.
    #[serde(default)]
    pub gate: bool,
    pub hypothesis: Hypothesis,
    pub load: Load,
    pub fault: Fault,
    pub alert: Alert,
    /// One after the other, each saying more.
    pub hints: Hints,
    pub root_cause: RootCause,
    pub pass: Pass,
    #[serde(default)]
    pub abort: Abort,
}

/// What is expected to hold while it is broken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hypothesis {
    pub text: Text,
    /// Share of good requests that the service level objective asks for, percent.
    pub objective_percent: Percent,
}

/// The traffic that the fault meets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    pub kind: Kind,
    /// Requests per second.
    pub rate: Rate,
    /// Share of reads among orders.
    #[serde(default)]
    pub mix: Share,
    /// Whether clients send once more what breaks or meets a 503.
    #[serde(default = "yes")]
    pub retry: bool,
    /// Seconds of steady state before the fault.
    #[serde(default = "five")]
    pub before: Seconds,
    /// Seconds after it, at least.
    #[serde(default = "five")]
    pub after: Seconds,
}

/// What is broken.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// Replicas die without a warning.
    Kill(Kill),
    /// All replicas of a zone die at once.
    Zone(Zone),
    /// A fault point of one replica or of all of a service.
    Point(Point),
    /// A database or the queue is away, slow or cut off.
    Outage(Outage),
    /// More load than usual.
    Flood(Flood),
    /// Jobs that always fail.
    Poison(Poison),
    /// A new version that never becomes ready.
    Rollout(Rollout),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kill {
    pub services: Names,
    pub pick: Pick,
    #[serde(default = "one")]
    pub times: Count,
    /// Seconds between one that is ready again and the next.
    #[serde(default = "five")]
    pub pause: Seconds,
}

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pick {
    /// Any replica of these services, each time another draw.
    Any,
    /// Every replica, one after the other.
    Each,
    /// One replica again and again.
    Same,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    pub zone: Text,
    /// Commander, who holds the drill, is best left out.
    pub services: Names,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    pub service: Text,
    #[serde(default)]
    pub scope: Scope,
    /// As the fault points take it, without `seconds`.
    pub spec: Spec,
    pub seconds: Ttl,
    /// How a client sees it beside the load: a token made meanwhile is not good.
    #[serde(default)]
    pub spoils_new_tokens: bool,
}

/// How much of a service is hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    #[default]
    One,
    All,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    pub dependency: Dependency,
    pub mode: Mode,
    #[serde(default)]
    pub latency_ms: Option<u32>,
    pub services: Names,
    pub seconds: Ttl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dependency {
    Database,
    Queue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Stopped,
    Slow,
    Severed,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    pub kind: Kind,
    /// Requests per second on a usual day.
    pub normal: Rate,
    /// How many times that.
    pub times: Rate,
    pub seconds: Ttl,
    #[serde(default)]
    pub mix: Share,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Poison {
    pub jobs: Count,
    pub seconds: Ttl,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    pub service: Text,
    /// By then it must have been taken back.
    pub seconds: Ttl,
}

/// How it is found out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// One of these.
    pub names: Vec<Text>,
    /// Whether the drill fails without it.
    #[serde(default)]
    pub required: bool,
    /// Seconds from the fault to the alert.
    pub within: Seconds,
    /// Seconds from the end of the fault until it is silent.
    pub clear_within: Seconds,
    pub runbook: Runbook,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootCause {
    pub question: Text,
    /// Each accepted; letters and digits count, case doesn't.
    pub answers: Names,
}

/// Pass marks; those left out aren't judged.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    /// Requests without a good answer in the end, at most.
    pub bad: Option<u64>,
    /// The same, in percent of all.
    pub bad_percent: Option<Percent>,
    /// Requests with another answer than a good one or a 503, at most.
    pub broken: Option<u64>,
    /// Requests sent twice, at most.
    pub retried: Option<u64>,
    /// Good requests while it is broken, percent at least.
    pub good_percent_during: Option<Percent>,
    /// The slowest answer of all.
    pub answer_ms: Option<Millis>,
    /// The 99th percentile of good requests while it is broken…
    pub p99_ms: Option<Millis>,
    /// …from so many seconds after the fault on.
    #[serde(default)]
    pub p99_after: Option<Seconds>,
    /// From the end of the fault to the first good order.
    pub first_success: Option<Seconds>,
    /// From the end of the fault to the last bad request.
    pub recovered: Option<Seconds>,
    /// From a kill to its replacement being ready.
    pub ready_ms: Option<Millis>,
    /// From a push beside the poison to the job being done.
    pub other_job: Option<Seconds>,
    /// Good answers per second to the flood, as a share of those asked for on a usual day.
    pub goodput_percent: Option<Percent>,
    /// Nothing lost, nothing sold twice, one mail per order.
    #[serde(default)]
    pub audit: bool,
}

/// When it is called off: broken more than anybody wanted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// Bad requests in percent of all that are planned.
    pub bad_percent: Percent,
}

impl Default for Abort {
    fn default() -> Self {
        Self {
            bad_percent: Percent(50.0),
        }
    }
}

impl Drill {
    /// Seconds that the fault lasts at least; none where it ends by itself.
    pub fn seconds(&self) -> Option<f64> {
        match &self.fault {
            Fault::Kill(_) | Fault::Zone(_) => None,
            Fault::Point(point) => Some(point.seconds.0),
            Fault::Outage(outage) => Some(outage.seconds.0),
            Fault::Flood(flood) => Some(flood.seconds.0),
            Fault::Poison(poison) => Some(poison.seconds.0),
            Fault::Rollout(rollout) => Some(rollout.seconds.0),
        }
    }

    /// Whether this names its root cause.
    pub fn accepts(&self, answer: &str) -> bool {
        let plain = |text: &str| -> String {
            let letters = text.chars().filter(|c| c.is_alphanumeric());
            letters.flat_map(char::to_lowercase).collect()
        };
        let given = plain(answer);
        self.root_cause.answers.0.iter().any(|a| plain(a) == given)
    }
}

fn yes() -> bool {
    true
}

fn one() -> Count {
    Count(1)
}

fn five() -> Seconds {
    Seconds(5.0)
}
