//! One run from its steady state to its verdict.
mod see;

use super::{
    alerts::Watcher,
    file::{Drill, Fault},
    inject::{Injected, Injector, token_is_good},
    judge::{self, Circumstances},
    measure::{self, CALM, Requests, within},
    ops::{Ops, Picture},
    plan::Plan,
    progress::{Phase, Progress},
    report::Report,
    site::Site,
    value::Seconds,
};
use crate::{
    audit::collect::Patience,
    load::generator::{Demand, Generator},
};
use anyhow::{Context as _, bail, ensure};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Longest wait for replicas that have only just been started.
const STARTING: Duration = Duration::from_secs(5);
/// What counts as steady before the fault.
const STEADY_BAD_PERCENT: f64 = 0.5;
const STEADY_P99_MS: f64 = 500.0;
const STEADY_TRIES: usize = 3;
/// Longest wait for recovery beyond the mark.
const RECOVERY: f64 = 30.0;
/// Longest that a kill drill takes.
const KILLS: f64 = 240.0;
const LOOK: Duration = Duration::from_millis(200);

/// How to run it.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    /// How long the audit waits for what is under way, and for holds of orders that never came.
    pub patience: Patience,
    /// Wait for the alerts, and fail without them.
    pub alerts: bool,
    /// Break it for so long, for people; no verdict comes of that.
    pub hold: Option<f64>,
}

/// Runs a drill. Whatever happens, nothing stays broken and a report comes of it.
pub async fn run(
    site: &Site,
    drill: &Drill,
    options: &Options,
    progress: &Progress,
    stop: &CancellationToken,
) -> Report {
    let mut course = Course {
        site,
        drill,
        options,
        progress,
        stop,
        report: Report::new(drill, options.seed),
        how: Circumstances {
            alert_required: drill.alert.required || options.alerts,
            ..Circumstances::default()
        },
        injected: Injected::default(),
        steady_from: 0.0,
    };
    let began = Instant::now();
    if let Err(error) = course.go().await {
        course.how.proves_nothing.push(format!("{error:#}"));
        progress.say(format!("{error:#}"));
    }
    let mut report = course.report;
    (report.verdict, report.reasons) =
        judge::verdict(&course.how, &report.marks, &report.detection);
    report.seconds = began.elapsed().as_secs_f64();
    progress.say(format!("verdict: {}", report.verdict));
    report.timeline = progress.story().timeline;
    progress.enter(Phase::Over);
    report
}

struct Course<'a> {
    site: &'a Site,
    drill: &'a Drill,
    options: &'a Options,
    progress: &'a Progress,
    stop: &'a CancellationToken,
    report: Report,
    how: Circumstances,
    injected: Injected,
    /// From then on requests are judged, seconds after the load began.
    steady_from: f64,
}

impl Course<'_> {
    async fn go(&mut self) -> anyhow::Result<()> {
        let mut ops = Ops::open(self.site).await?;
        let picture = self.well(&mut ops).await?;
        let plan = Plan::new(self.drill, self.options.seed, &picture.replicas)?;
        self.report.victims.clone_from(&plan.victims);
        let demand = self.demand(&plan);
        let generator = Generator::start(&self.site.url, &self.site.login, &demand);
        let generator = generator.await.context("starting the load")?;
        self.progress.start(generator.samples().started);
        let load = &self.drill.load;
        self.progress.say(format!(
            "{} {:?} per second, seed {}",
            load.rate.0, load.kind, plan.seed
        ));
        let watcher = Watcher::start(self.site, self.progress);
        let ran = self
            .under_load(&mut ops, &plan, &generator, watcher.as_ref())
            .await;
        let ended = self.progress.now();
        let sent = generator.stop().await?;
        self.see(&sent, ended);
        self.detect(watcher.as_ref());
        ran?;
        self.audit(&mut ops, sent).await;
        Ok(())
    }

    /// The platform once all is well: it may have been started a moment ago.
    async fn well(&mut self, ops: &mut Ops) -> anyhow::Result<Picture> {
        let until = Instant::now() + STARTING;
        loop {
            let picture = ops.picture().await.context("looking at the platform")?;
            self.report.environment.clone_from(&picture.environment);
            let Err(why) = healthy(&picture) else {
                return Ok(picture);
            };
            let waits = Instant::now() < until && !self.stop.is_cancelled();
            ensure!(waits, "not healthy to begin with: {why}");
            sleep(LOOK).await;
        }
    }

    fn demand(&self, plan: &Plan) -> Demand {
        let load = &self.drill.load;
        Demand {
            kind: load.kind,
            rate: load.rate.0,
            seconds: self.longest(),
            mix: load.mix.0,
            seed: plan.load_seed,
            insists: load.retry,
        }
    }

    /// Seconds that the load may last.
    fn longest(&self) -> f64 {
        let load = &self.drill.load;
        let fault = self.options.hold.or(self.drill.seconds()).unwrap_or(KILLS);
        let (mut wait, limit) = (self.wait_for_recovery(), |s: Seconds| s.0);
        if self.how.alert_required {
            wait += limit(self.drill.alert.within) + limit(self.drill.alert.clear_within);
        }
        load.before.0 * STEADY_TRIES as f64 + fault + load.after.0 + wait + 60.0
    }

    fn wait_for_recovery(&self) -> f64 {
        let pass = &self.drill.pass;
        let marks = [pass.recovered, pass.first_success];
        let mark = marks.iter().flatten().map(|s| s.0).fold(0.0, f64::max);
        mark + CALM + RECOVERY
    }

    async fn under_load(
        &mut self,
        ops: &mut Ops,
        plan: &Plan,
        generator: &Generator,
        watcher: Option<&Watcher>,
    ) -> anyhow::Result<()> {
        self.steady(generator).await?;
        if self.how.interrupted {
            return Ok(());
        }
        self.progress.enter(Phase::Fault);
        self.report.fault_from = Some(self.progress.now());
        let broken = self.broken(ops, plan, generator, watcher).await;
        let restored = self.restore(ops).await;
        let healed = self.injected.healed.unwrap_or_else(|| self.progress.now());
        self.report.fault_until = Some(healed);
        broken?;
        restored?;
        self.progress.enter(Phase::Recovery);
        self.recover(ops, generator, healed, watcher).await
    }

    /// Waits until all is well, for a few times as long as the drill looks at it before its fault: what
    /// was broken before may still be worked off.
    async fn steady(&mut self, generator: &Generator) -> anyhow::Result<()> {
        let mut unsteady = Ok(());
        for _ in 0..STEADY_TRIES {
            let from = self.progress.now();
            self.rest(self.drill.load.before.0).await;
            let requests = {
                let (samples, dropped) = generator.samples().read();
                Requests::of(within(&samples, from, f64::MAX), dropped)
            };
            unsteady = is_steady(&requests);
            match &unsteady {
                _ if self.how.interrupted => return Ok(()),
                Err(why) => self.progress.say(why.to_string()),
                Ok(()) => {
                    self.steady_from = from;
                    let p99 = requests.p99_ms.unwrap_or_default();
                    let sent = requests.sent;
                    self.progress.say(format!(
                        "steady: {sent} requests, 99th percentile {p99:.0} ms"
                    ));
                    break;
                }
            }
        }
        unsteady
    }

    /// Injects, until it is done, called off, or costs too much.
    async fn broken(
        &mut self,
        ops: &mut Ops,
        plan: &Plan,
        generator: &Generator,
        watcher: Option<&Watcher>,
    ) -> anyhow::Result<()> {
        let injector = Injector {
            site: self.site,
            drill: self.drill,
            plan,
            progress: self.progress,
            ops,
            hold: self.hold(watcher.is_some()),
        };
        let planned = self.drill.load.rate.0 * (self.longest() - 60.0 - RECOVERY);
        let limit = planned * self.drill.abort.bad_percent.0 / 100.0;
        let people = self.options.hold.is_some();
        let spent = async {
            while people || (generator.samples().counts().1 as f64) <= limit {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            injected = injector.run() => self.injected = injected?,
            () = self.stop.cancelled() => self.how.interrupted = true,
            () = spent => {
                self.how.budget_spent = true;
                self.progress.say("too much is broken: called off");
            }
        }
        Ok(())
    }

    /// How long the fault must last for its alert to have a chance.
    fn hold(&self, watched: bool) -> Option<f64> {
        let own = self.drill.seconds();
        let alert = (self.how.alert_required && watched).then_some(self.drill.alert.within.0);
        let alert = alert.zip(own).map(|(alert, own)| alert.max(own).min(590.0));
        self.options.hold.or(alert)
    }

    /// Nothing stays broken, also when the run was called off half way.
    async fn restore(&self, ops: &mut Ops) -> anyhow::Result<()> {
        if matches!(self.drill.fault, Fault::Point(_) | Fault::Outage(_)) {
            ops.clear().await?;
            self.progress.say("the fault is taken back");
        }
        Ok(())
    }

    async fn recover(
        &mut self,
        ops: &mut Ops,
        generator: &Generator,
        healed: f64,
        watcher: Option<&Watcher>,
    ) -> anyhow::Result<()> {
        let deadline = self.progress.now() + self.wait_for_recovery();
        let after = self.progress.now() + self.drill.load.after.0;
        loop {
            self.rest(LOOK.as_secs_f64()).await;
            let now = self.progress.now();
            let (samples, _) = generator.samples().read();
            let calm = measure::recovery(&samples, healed, now).recovered.is_some();
            if self.how.interrupted || (calm && now >= after) || now >= deadline {
                break;
            }
        }
        if let Fault::Point(point) = &self.drill.fault
            && point.spoils_new_tokens
        {
            while !token_is_good(self.site).await? {
                ensure!(
                    self.progress.now() < deadline,
                    "new tokens are still refused"
                );
                sleep(LOOK).await;
            }
            self.progress.say("a new token is good again");
        }
        self.alert_clears(watcher).await;
        while !self.how.interrupted && healthy(&ops.picture().await?).is_err() {
            if self.progress.now() >= deadline {
                bail!("the platform is not whole again");
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    async fn alert_clears(&mut self, watcher: Option<&Watcher>) {
        if !self.how.alert_required || watcher.is_none() {
            return;
        }
        let deadline = self.progress.now() + self.drill.alert.clear_within.0;
        while self.progress.now() < deadline && !self.how.interrupted {
            self.detect(watcher);
            if self.report.detection.alert.is_none() || self.report.detection.cleared.is_some() {
                return;
            }
            self.rest(1.0).await;
        }
    }

    /// Sleeps, unless it is called off.
    async fn rest(&mut self, seconds: f64) {
        let time = sleep(Duration::from_secs_f64(seconds));
        self.how.interrupted |= self.stop.run_until_cancelled(time).await.is_none();
    }
}

fn is_steady(requests: &Requests) -> anyhow::Result<()> {
    ensure!(requests.sent > 0, "no answer to any request");
    ensure!(
        requests.bad_percent() <= STEADY_BAD_PERCENT,
        "not steady to begin with: {:.1} % of the requests are bad",
        requests.bad_percent()
    );
    let p99 = requests.p99_ms.unwrap_or_default();
    ensure!(
        p99 <= STEADY_P99_MS,
        "not steady to begin with: the 99th percentile is {p99:.0} ms"
    );
    Ok(())
}

/// Whether all replicas are ready and nobody else breaks anything.
pub fn healthy(picture: &Picture) -> anyhow::Result<()> {
    ensure!(!picture.replicas.is_empty(), "no replica can be seen");
    let away = picture.replicas.iter().filter(|r| !r.is_ready());
    let away: Vec<_> = away.map(|r| format!("{} is {}", r.name, r.state)).collect();
    ensure!(away.is_empty(), "{}", away.join(", "));
    ensure!(picture.faults == 0, "{} faults are active", picture.faults);
    ensure!(!picture.load, "another load runs");
    Ok(())
}
