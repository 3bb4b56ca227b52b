//! What a run has seen of its requests, of alerts, and of what is stored.
use super::Course;
use crate::{
    audit::{
        collect::{Subject, settled_audit},
        findings::Findings,
    },
    drill::{
        alerts::Watcher,
        judge::{self, Measured},
        measure::{self, Requests, within},
        ops::Ops,
        progress::Phase,
        report::Detection,
    },
    load::generator::Sent,
};

/// Requests never sent, in percent of all, above which the load was not the one asked for.
const LATE_PERCENT: f64 = 2.0;

impl Course<'_> {
    /// Looks at every request that was sent.
    pub fn see(&mut self, sent: &Sent, ended: f64) {
        let (samples, dropped) = sent.samples().read();
        let report = &mut self.report;
        let judged = within(&samples, self.steady_from, f64::MAX);
        report.requests = Requests::of(judged, dropped);
        report.by_second = measure::by_second(&samples);
        report.budget = judge::budget(self.drill, &report.requests);
        let late = 100.0 * dropped as f64 / (samples.len() as u64 + dropped).max(1) as f64;
        if late > LATE_PERCENT {
            let reason =
                format!("the generator was too slow: {late:.1} % of the requests were never sent");
            self.how.proves_nothing.push(reason);
        }
        let Some((from, until)) = report.fault_from.zip(report.fault_until) else {
            return;
        };
        report.recovery = measure::recovery(&samples, until, ended);
        report.recovery.ready_ms = self.injected.ready_ms;
        if within(&samples, from, until.max(from + 1.0))
            .next()
            .is_none()
        {
            let reason = "no request was under way during the fault";
            self.how.proves_nothing.push(reason.to_owned());
        }
        let found = Measured {
            samples: &samples,
            requests: &report.requests,
            recovery: &report.recovery,
            injected: &self.injected,
            fault: (from, until),
        };
        report.marks = judge::marks(&self.drill.pass, &found);
    }

    pub fn detect(&mut self, watcher: Option<&Watcher>) {
        let report = &mut self.report;
        let fired = watcher.and_then(Watcher::seen);
        let from = report.fault_from.unwrap_or(f64::MAX);
        let expected = report.detection.expected.clone();
        let mut detection = Detection {
            observed: fired.is_some(),
            expected,
            fired: fired.unwrap_or_default(),
            ..Detection::default()
        };
        let ours = detection
            .fired
            .iter()
            .filter(|(name, firing)| detection.expected.contains(name) && firing.from >= from);
        let first = ours.min_by(|a, b| a.1.from.total_cmp(&b.1.from));
        if let Some((name, firing)) = first {
            detection.seconds = Some(firing.from - from);
            let healed = report.fault_until.unwrap_or(from);
            detection.cleared = firing.until.map(|until| (until - healed).max(0.0));
            detection.alert = Some(name.clone());
        }
        report.detection = detection;
    }

    /// Holds of orders that never came end by themselves; whoever waits for no holds judges them later.
    fn judge_audit(&mut self, findings: Findings) {
        let only_held = self.options.patience.holds.is_zero() && findings.is_only_held();
        let violations = if only_held { 0 } else { findings.violations };
        if only_held {
            self.progress
                .say("what is left are holds that run out by themselves");
        }
        self.report.marks.push(judge::audit_mark(violations));
        self.report.audit = Some(findings);
    }

    pub async fn audit(&mut self, ops: &mut Ops, sent: Sent) {
        if !self.drill.pass.audit || self.how.interrupted {
            return;
        }
        self.progress.enter(Phase::Audit);
        let subject = Subject {
            catalogue: sent.catalogue,
            ledger: Some(&sent.ledger),
            since: Some(self.report.started_at),
        };
        match settled_audit(ops.shop(), subject, self.options.patience).await {
            Ok(findings) => {
                self.progress.say(format!(
                    "audit of {} orders: {} violations",
                    findings.orders, findings.violations
                ));
                self.judge_audit(findings);
            }
            Err(error) => {
                let reason = format!("no audit could be made: {error:#}");
                self.how.proves_nothing.push(reason);
            }
        }
    }
}
