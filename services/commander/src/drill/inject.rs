//! Breaks what a drill says, and proves that it is broken: what can't be shown proves nothing.
use super::{
    file::{Drill, Fault, Flood, Kill, Outage, Pick, Point, Poison, Scope, Zone},
    ops::{Fault as Active, Ops},
    plan::Plan,
    progress::Progress,
    site::Site,
};
use crate::load::{
    generator::{Demand, Generator},
    samples::End,
};
use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest wait for the replacement of one that was killed.
const REPLACED: Duration = Duration::from_secs(60);
/// Longest wait for a fault to show after it was asked for.
const SHOWS: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);

/// What came of it, for the judge.
#[derive(Debug, Default)]
pub struct Injected {
    /// Slowest replacement.
    pub ready_ms: Option<i64>,
    /// Good answers per second to a flood, in percent of a usual day's.
    pub goodput_percent: Option<f64>,
    /// Seconds until a job beside the poison was done.
    pub other_job: Option<f64>,
    /// Seconds after the load began at which nothing was broken any more; none where that is when
    /// the fault is taken back.
    pub healed: Option<f64>,
}

/// One who injects.
pub struct Injector<'a> {
    pub site: &'a Site,
    pub drill: &'a Drill,
    pub plan: &'a Plan,
    pub progress: &'a Progress,
    pub ops: &'a mut Ops,
    /// How long a fault without an end of its own lasts, where that differs from the file.
    pub hold: Option<f64>,
}

impl Injector<'_> {
    /// Injects, proves it and holds it for its time. Taking it back is the caller's, since this may be
    /// dropped half way.
    ///
    /// # Errors
    /// When it could not be injected, or not be seen.
    pub async fn run(mut self) -> anyhow::Result<Injected> {
        let drill = self.drill;
        match &drill.fault {
            Fault::Kill(kill) => self.kill(kill).await,
            Fault::Zone(zone) => self.zone(zone).await,
            Fault::Point(point) => self.point(point).await,
            Fault::Outage(outage) => self.outage(outage).await,
            Fault::Flood(flood) => self.flood(flood).await,
            Fault::Poison(poison) => self.poison(poison).await,
            Fault::Rollout(rollout) => {
                let limit = Duration::from_secs_f64(rollout.seconds.0);
                self.roll_out(&rollout.service, limit).await
            }
        }
    }

    async fn kill(&mut self, kill: &Kill) -> anyhow::Result<Injected> {
        let mut injected = Injected::default();
        let began = Instant::now();
        let mut first = true;
        let mut victims = self.plan.victims.iter().cycle();
        let mut left = self.plan.victims.len();
        while left > 0
            || self
                .hold
                .is_some_and(|hold| began.elapsed().as_secs_f64() < hold)
        {
            if !first && kill.pick != Pick::Same {
                sleep(Duration::from_secs_f64(kill.pause.0)).await;
            }
            first = false;
            left = left.saturating_sub(1);
            let victim = victims.next().context("nobody to kill")?;
            let ready_ms = self.kill_one(victim).await?;
            injected.ready_ms = injected.ready_ms.max(Some(ready_ms));
            // Done with the signal; what comes after is healing.
            injected.healed = Some(self.progress.now() - ready_ms as f64 / 1e3);
        }
        Ok(injected)
    }

    async fn kill_one(&mut self, victim: &str) -> anyhow::Result<i64> {
        let entry = self.ops.kill(victim).await?;
        self.progress.say(format!("{victim} is killed"));
        self.replaced(entry.id, victim).await
    }

    async fn replaced(&mut self, id: uuid::Uuid, victim: &str) -> anyhow::Result<i64> {
        let entry = self.ops.settled(id, REPLACED).await?;
        let entry = entry.with_context(|| format!("{victim} is not back after {REPLACED:?}"))?;
        ensure!(
            entry.outcome == "done",
            "the journal shows no kill of {victim}: {} {}",
            entry.outcome,
            entry.detail.unwrap_or_default()
        );
        let took = entry.recovered_ms.context("the journal has no time")?;
        self.progress
            .say(format!("{victim} is ready again after {took} ms"));
        Ok(took)
    }

    async fn zone(&mut self, zone: &Zone) -> anyhow::Result<Injected> {
        let mut entries = Vec::new();
        for victim in &self.plan.victims {
            entries.push((self.ops.kill(victim).await?, victim.clone()));
        }
        let names = self.plan.victims.join(", ");
        self.progress
            .say(format!("zone {} is lost: {names}", zone.zone));
        let healed = self.progress.now();
        let mut injected = Injected {
            healed: Some(healed),
            ..Injected::default()
        };
        for (entry, victim) in entries {
            let took = self.replaced(entry.id, &victim).await?;
            injected.ready_ms = injected.ready_ms.max(Some(took));
        }
        Ok(injected)
    }

    async fn point(&mut self, point: &Point) -> anyhow::Result<Injected> {
        let seconds = self.seconds(point.seconds.0);
        let mut spec = point.spec.0.clone();
        spec["seconds"] = json!(ttl(seconds));
        let one = (point.scope == Scope::One).then(|| self.plan.victims[0].as_str());
        let active = self
            .ops
            .inject(&point.service, one, point.scope, &spec)
            .await?;
        let hit = self.plan.victims.join(", ");
        self.progress
            .say(format!("{} at {hit}", describe(&point.spec.0)));
        let asked = self.plan.victims.len();
        ensure!(
            active.len() == asked,
            "asked for {asked} faults, got {}",
            active.len()
        );
        self.shows(&active).await?;
        if point.spoils_new_tokens {
            self.token_is_refused().await?;
        }
        sleep(Duration::from_secs_f64(seconds)).await;
        Ok(Injected::default())
    }

    async fn outage(&mut self, outage: &Outage) -> anyhow::Result<Injected> {
        let seconds = self.seconds(outage.seconds.0);
        let services: Vec<&str> = outage.services.0.iter().map(|s| &**s).collect();
        let (dependency, mode) = (outage.dependency, outage.mode);
        let cut = self
            .ops
            .cut(dependency, mode, outage.latency_ms, ttl(seconds), &services);
        let active = cut.await?;
        let of = services.join(", ");
        self.progress
            .say(format!("the {dependency:?} of {of} is {mode:?}").to_lowercase());
        ensure!(!active.is_empty(), "nobody was cut off");
        self.shows(&active).await?;
        sleep(Duration::from_secs_f64(seconds)).await;
        Ok(Injected::default())
    }

    /// Every fault that was asked for is among the active ones.
    async fn shows(&mut self, asked: &[Active]) -> anyhow::Result<()> {
        let deadline = Instant::now() + SHOWS;
        loop {
            let active = self.ops.faults().await?;
            let missing = asked
                .iter()
                .filter(|a| !active.iter().any(|b| a.id == b.id));
            let missing = missing.count();
            if missing == 0 {
                self.progress
                    .say(format!("{} active faults are seen", asked.len()));
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{missing} of {} faults don't show",
                asked.len()
            );
            sleep(LOOK).await;
        }
    }

    async fn token_is_refused(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + SHOWS;
        while token_is_good(self.site).await? {
            ensure!(Instant::now() < deadline, "new tokens are still accepted");
            sleep(LOOK).await;
        }
        self.progress.say("a new token is refused");
        Ok(())
    }

    async fn flood(&mut self, flood: &Flood) -> anyhow::Result<Injected> {
        let seconds = self.seconds(flood.seconds.0);
        let rate = flood.normal.0 * flood.times.0;
        let demand = Demand {
            kind: flood.kind,
            rate,
            seconds,
            mix: flood.mix.0,
            seed: self.plan.load_seed ^ 1,
            insists: false,
        };
        let generator = Generator::start(&self.site.url, &self.site.login, &demand).await?;
        self.progress
            .say(format!("{rate} {:?} per second come", flood.kind).to_lowercase());
        sleep(Duration::from_secs_f64(seconds)).await;
        let healed = Some(self.progress.now());
        let sent = generator.stop().await?;
        let (samples, dropped) = sent.samples().read();
        let came = samples.len() as f64 / (rate * seconds);
        ensure!(
            came >= 0.9,
            "only {:.0} % of the flood came, {dropped} requests were too late",
            came * 100.0
        );
        let good = samples.iter().filter(|s| s.end == End::Ok).count() as f64 / seconds;
        self.progress.say(format!(
            "the flood is over; {good:.1} good answers per second"
        ));
        Ok(Injected {
            goodput_percent: Some(100.0 * good / flood.normal.0),
            healed,
            ..Injected::default()
        })
    }

    async fn poison(&mut self, poison: &Poison) -> anyhow::Result<Injected> {
        let began = Instant::now();
        let seconds = Duration::from_secs_f64(self.seconds(poison.seconds.0));
        let mut jobs = Vec::new();
        for _ in 0..poison.jobs.0 {
            jobs.push(self.ops.push("fail").await?.id);
        }
        self.progress
            .say(format!("{} jobs are pushed that always fail", jobs.len()));
        let first = *jobs.first().context("no job")?;
        while self.ops.job(first).await?.attempts < 2 {
            ensure!(
                began.elapsed() < REPLACED,
                "the poison was never tried again"
            );
            sleep(LOOK).await;
        }
        self.progress
            .say("the poison has failed and is tried again");
        let pushed = Instant::now();
        let other = self.ops.push("echo").await?.id;
        while self.ops.job(other).await?.state != "done" {
            if pushed.elapsed() > REPLACED {
                bail!("a job beside the poison is not done after {REPLACED:?}");
            }
            sleep(LOOK).await;
        }
        let other_job = Some(pushed.elapsed().as_secs_f64());
        sleep(seconds.saturating_sub(began.elapsed())).await;
        Ok(Injected {
            other_job,
            ..Injected::default()
        })
    }

    async fn roll_out(&mut self, service: &str, limit: Duration) -> anyhow::Result<Injected> {
        let entry = self.ops.roll_out(service, true).await?;
        self.progress.say(format!(
            "a new version of {service} comes that never gets ready"
        ));
        let entry = self.ops.settled(entry.id, limit).await?;
        let entry = entry.with_context(|| format!("not taken back after {limit:?}"))?;
        let detail = entry.detail.unwrap_or_default();
        self.progress
            .say(format!("the rollout has {}: {detail}", entry.outcome));
        ensure!(
            entry.outcome == "failed",
            "a version that is never ready was rolled out: {detail}"
        );
        Ok(Injected::default())
    }

    fn seconds(&self, own: f64) -> f64 {
        self.hold.unwrap_or(own)
    }
}

/// Whether a token made now opens what an operator may see.
pub async fn token_is_good(site: &Site) -> anyhow::Result<bool> {
    let mut ops = Ops::open(site).await?;
    let token = (site.login)().await?;
    ops.shop().opens("/api/jobs?limit=1", &token).await
}

/// Longer than the fault is meant to last: it is taken back before, and gone even if that fails.
fn ttl(seconds: f64) -> u32 {
    ((seconds + 10.0).ceil() as u32).clamp(1, 600)
}

/// `latency_ms 2000, fault latency`, as far as it can be read aloud.
fn describe(spec: &Value) -> String {
    let fields = spec.as_object().into_iter().flatten();
    let text = |(name, value): (&String, &Value)| match (name.as_str(), value) {
        ("fault", value) => value.as_str().unwrap_or_default().to_owned(),
        (name, value) => format!("{name} {value}"),
    };
    let mut words: Vec<_> = fields.map(text).collect();
    words.sort();
    words.join(", ")
}
