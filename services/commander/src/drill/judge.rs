//! Holds what was measured against the pass marks. No IO.
use super::{
    file::{Drill, Pass},
    inject::Injected,
    measure::{Recovery, Requests, within},
    report::{Budget, Detection, Mark, Verdict},
};
use crate::load::samples::Sample;

impl Pass {
    /// Whether there is any mark.
    pub fn judges(&self) -> bool {
        let Self {
            bad,
            bad_percent,
            broken,
            retried,
            good_percent_during,
            answer_ms,
            p99_ms,
            p99_after: _,
            first_success,
            recovered,
            ready_ms,
            other_job,
            goodput_percent,
            audit,
        } = self;
        let counts = [bad, broken, retried].iter().any(|mark| mark.is_some());
        let percents = [bad_percent, good_percent_during, goodput_percent];
        let times = [answer_ms, p99_ms, ready_ms].iter().any(|m| m.is_some());
        let seconds = [first_success, recovered, other_job];
        counts
            || times
            || *audit
            || percents.iter().any(|m| m.is_some())
            || seconds.iter().any(|m| m.is_some())
    }
}

/// What a run has measured.
pub struct Measured<'a> {
    pub samples: &'a [Sample],
    pub requests: &'a Requests,
    pub recovery: &'a Recovery,
    pub injected: &'a Injected,
    /// Seconds after the load began at which the fault began and ended.
    pub fault: (f64, f64),
}

/// Every mark of the drill with what was measured. What could not be measured has not passed.
pub fn marks(pass: &Pass, found: &Measured<'_>) -> Vec<Mark> {
    let mut marks = Marks(Vec::new());
    let requests = found.requests;
    let (from, until) = found.fault;
    marks.at_most(
        "bad requests",
        pass.bad.map(as_f64),
        Some(as_f64(requests.bad())),
        "",
    );
    marks.at_most(
        "bad requests of all",
        pass.bad_percent.map(|p| p.0),
        Some(requests.bad_percent()),
        " %",
    );
    marks.at_most(
        "broken requests",
        pass.broken.map(as_f64),
        Some(as_f64(requests.failed)),
        "",
    );
    marks.at_most(
        "requests sent twice",
        pass.retried.map(as_f64),
        Some(as_f64(requests.retried)),
        "",
    );
    if let Some(least) = pass.good_percent_during {
        let during = Requests::of(within(found.samples, from, until), 0);
        let good = (during.sent > 0).then(|| 100.0 - during.bad_percent());
        marks.at_least("good requests during the fault", least.0, good, " %");
    }
    marks.at_most(
        "slowest answer",
        pass.answer_ms.map(|m| m.0),
        Some(requests.slowest_answer_ms),
        " ms",
    );
    if let Some(limit) = pass.p99_ms {
        let from = from + pass.p99_after.map_or(0.0, |s| s.0);
        let p99 = Requests::of(within(found.samples, from, until.max(from + 1.0)), 0).p99_ms;
        marks.at_most(
            "99th percentile during the fault",
            Some(limit.0),
            p99,
            " ms",
        );
    }
    let recovery = found.recovery;
    marks.at_most(
        "first good order after the fault",
        pass.first_success.map(|s| s.0),
        recovery.first_success,
        " s",
    );
    marks.at_most(
        "recovered after the fault",
        pass.recovered.map(|s| s.0),
        recovery.recovered,
        " s",
    );
    let ready = found.injected.ready_ms.map(|ms| ms as f64);
    marks.at_most(
        "replacement ready",
        pass.ready_ms.map(|m| m.0),
        ready,
        " ms",
    );
    marks.at_most(
        "job beside the poison done",
        pass.other_job.map(|s| s.0),
        found.injected.other_job,
        " s",
    );
    if let Some(least) = pass.goodput_percent {
        marks.at_least(
            "goodput of a usual day",
            least.0,
            found.injected.goodput_percent,
            " %",
        );
    }
    marks.0
}

/// The mark of the audit, which comes later than the others.
pub fn audit_mark(violations: u64) -> Mark {
    Mark {
        mark: "violations found by the audit",
        limit: "at most 0".to_owned(),
        measured: violations.to_string(),
        passed: violations == 0,
    }
}

struct Marks(Vec<Mark>);

impl Marks {
    fn at_most(
        &mut self,
        mark: &'static str,
        limit: Option<f64>,
        measured: Option<f64>,
        unit: &str,
    ) {
        let Some(limit) = limit else { return };
        let passed = measured.is_some_and(|m| m <= limit);
        self.push(
            mark,
            format!("at most {}{unit}", short(limit)),
            measured,
            unit,
            passed,
        );
    }

    fn at_least(&mut self, mark: &'static str, least: f64, measured: Option<f64>, unit: &str) {
        let passed = measured.is_some_and(|m| m >= least);
        self.push(
            mark,
            format!("at least {}{unit}", short(least)),
            measured,
            unit,
            passed,
        );
    }

    fn push(
        &mut self,
        mark: &'static str,
        limit: String,
        measured: Option<f64>,
        unit: &str,
        passed: bool,
    ) {
        let measured = measured.map_or("nothing".to_owned(), |m| format!("{}{unit}", short(m)));
        self.0.push(Mark {
            mark,
            limit,
            measured,
            passed,
        });
    }
}

fn as_f64(n: u64) -> f64 {
    n as f64
}

/// Without needless digits.
fn short(x: f64) -> String {
    match x {
        x if x == x.trunc() => format!("{x:.0}"),
        x if x.abs() >= 100.0 => format!("{x:.0}"),
        x => format!("{x:.2}"),
    }
}

/// How much of what the objective allows in so many requests is gone.
pub fn budget(drill: &Drill, requests: &Requests) -> Budget {
    let objective_percent = drill.hypothesis.objective_percent.0;
    let allowed = requests.sent as f64 * (100.0 - objective_percent) / 100.0;
    let bad = requests.bad();
    Budget {
        objective_percent,
        allowed,
        bad,
        spent_percent: (allowed > 0.0).then(|| 100.0 * bad as f64 / allowed),
    }
}

/// How a run went, beside its marks.
#[derive(Debug, Default)]
pub struct Circumstances {
    /// Somebody called it off.
    pub interrupted: bool,
    /// Too much was broken.
    pub budget_spent: bool,
    /// Why it proves nothing.
    pub proves_nothing: Vec<String>,
    /// Whether an alert is a condition of passing.
    pub alert_required: bool,
}

/// The verdict and its reasons. Failure needs no more proof than that it happened; passing needs all.
pub fn verdict(
    how: &Circumstances,
    marks: &[Mark],
    detection: &Detection,
) -> (Verdict, Vec<String>) {
    if how.interrupted {
        return (Verdict::Aborted, vec!["called off".to_owned()]);
    }
    if how.budget_spent {
        return (
            Verdict::Failed,
            vec!["called off: its error budget is spent".to_owned()],
        );
    }
    if !how.proves_nothing.is_empty() {
        return (Verdict::Inconclusive, how.proves_nothing.clone());
    }
    let missed = marks.iter().filter(|mark| !mark.passed);
    let mut reasons: Vec<_> = missed
        .map(|m| format!("{}: {}, {}", m.mark, m.measured, m.limit))
        .collect();
    if how.alert_required && detection.observed {
        if detection.alert.is_none() {
            reasons.push(format!(
                "none of {} fired in time",
                detection.expected.join(", ")
            ));
        } else if detection.cleared.is_none() {
            reasons.push("the alert was not silent again in time".to_owned());
        }
    }
    if !reasons.is_empty() {
        return (Verdict::Failed, reasons);
    }
    if how.alert_required && !detection.observed {
        let reason = "nobody could be asked for the alert that must fire";
        return (Verdict::Inconclusive, vec![reason.to_owned()]);
    }
    (Verdict::Passed, Vec::new())
}
