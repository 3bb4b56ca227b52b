//! The load that commander puts on the platform itself: bounded, one at a time, called off when
//! it breaks more than was allowed.
use crate::{
    App,
    desk::keep,
    error::Error,
    load::{
        generator::{Demand, Generator},
        plan::Kind,
        samples::{End, Sample},
    },
    store::runs::{OVER, RUNNING, Run},
};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use service::Problem;
use std::{collections::VecDeque, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const LANE: &str = "load";
const BEAT: Duration = Duration::from_secs(1);
/// Over which the share of failures is judged.
const WINDOW: usize = 5;
/// Fewer requests than that in the window say nothing.
const LEAST: u64 = 20;

/// What to send, how fast and for how long.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Requests per second, at most 2000.
    pub rate: f64,
    /// At most 600.
    pub seconds: u32,
    pub kind: Kind,
    /// Share of reads among orders.
    #[serde(default)]
    pub mix: f64,
    /// Decides which products are ordered.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Share of bad requests in the last seconds at which it is called off.
    #[serde(default = "half")]
    pub abort_failed_ratio: f64,
}

fn half() -> f64 {
    0.5
}

impl Spec {
    /// # Errors
    /// Which field is out of bounds.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |field, says| Err(Error::Invalid(Problem::invalid(field, says)));
        if !(0.1..=2000.0).contains(&self.rate) {
            return refuse("/rate", "from 0.1 to 2000");
        }
        if !(1..=600).contains(&self.seconds) {
            return refuse("/seconds", "from 1 to 600");
        }
        if !(0.0..=0.99).contains(&self.mix) {
            return refuse("/mix", "from 0 to 0.99");
        }
        if !(0.0..=1.0).contains(&self.abort_failed_ratio) {
            return refuse("/abort_failed_ratio", "from 0 to 1");
        }
        if self.seed.is_some_and(|seed| seed >= 1 << 53) {
            return refuse("/seed", "less than 2^53");
        }
        Ok(())
    }
}

/// A load and what came back so far.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Load {
    pub id: Uuid,
    pub kind: Kind,
    pub rate: f64,
    pub seconds: u32,
    pub seed: u64,
    /// `running`, `done`, `stopped`, `aborted` or `lost`.
    pub state: String,
    pub sent: u64,
    pub ok: u64,
    pub failed: u64,
    /// 503.
    pub shed: u64,
    /// Never sent: the generator was late or out of connections.
    pub dropped: u64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Good answers per second.
    pub goodput: f64,
    /// Why it ended before its time.
    pub detail: Option<String>,
}

impl Load {
    pub fn new(id: Uuid, spec: &Spec, seed: u64) -> Self {
        Self {
            id,
            kind: spec.kind,
            rate: spec.rate,
            seconds: spec.seconds,
            seed,
            state: RUNNING.to_owned(),
            sent: 0,
            ok: 0,
            failed: 0,
            shed: 0,
            dropped: 0,
            p50_ms: None,
            p99_ms: None,
            goodput: 0.0,
            detail: None,
        }
    }

    /// As it was kept last.
    pub fn of(run: &Run) -> Option<Self> {
        let mut load: Self = serde_json::from_str(&run.live).ok()?;
        if run.state != RUNNING && load.state == RUNNING {
            run.state.clone_into(&mut load.state);
        }
        Some(load)
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Counts without looking at a sample twice.
struct Count {
    seen: usize,
    times: Histogram<u64>,
    /// Sent and bad in each of the last seconds.
    last: VecDeque<(u64, u64)>,
}

impl Count {
    fn new() -> Self {
        Self {
            seen: 0,
            times: Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds"),
            last: VecDeque::new(),
        }
    }

    fn take(&mut self, load: &mut Load, new: &[Sample], dropped: u64, seconds: f64) {
        self.seen += new.len();
        let bad = load.failed + load.shed;
        for sample in new {
            load.sent += 1;
            match sample.end {
                End::Ok => {
                    load.ok += 1;
                    self.times
                        .saturating_record((sample.took_ms() * 1e3) as u64);
                }
                End::Refused => load.shed += 1,
                End::Failed => load.failed += 1,
            }
        }
        let at = |share| self.times.value_at_quantile(share) as f64 / 1e3;
        let any = !self.times.is_empty();
        load.p50_ms = any.then(|| at(0.5));
        load.p99_ms = any.then(|| at(0.99));
        load.dropped = dropped;
        load.goodput = load.ok as f64 / seconds.max(1e-3);
        self.last
            .push_back((new.len() as u64, load.failed + load.shed - bad));
        if self.last.len() > WINDOW {
            self.last.pop_front();
        }
    }

    /// Whether too much of the last seconds was bad.
    fn is_too_much(&self, limit: f64) -> bool {
        let sent: u64 = self.last.iter().map(|(sent, _)| sent).sum();
        let bad: u64 = self.last.iter().map(|(_, bad)| bad).sum();
        sent >= LEAST && bad as f64 / sent as f64 > limit
    }
}

/// Sends it until its time is over or somebody stops it.
pub async fn run(app: &App, id: Uuid, spec: &Spec, stop: &CancellationToken) {
    let _active = app.metrics.load_begins();
    let mut load = Load::new(id, spec, spec.seed.unwrap_or_default());
    let ended = send(app, &mut load, spec, stop).await;
    match ended {
        Ok(state) => state.clone_into(&mut load.state),
        Err(error) => {
            "aborted".clone_into(&mut load.state);
            load.detail = Some(format!("{error:#}"));
        }
    }
    let detail = format!(
        "{}: {} sent, {} failed, {} shed",
        load.state, load.sent, load.failed, load.shed
    );
    tracing::info!(%id, "load {detail}");
    let Ok(Some(mut run)) = app.runs.get(id).await else {
        return;
    };
    run.state = OVER.to_owned();
    run.live = load.text();
    keep(app, &run, &detail).await;
}

async fn send(
    app: &App,
    load: &mut Load,
    spec: &Spec,
    stop: &CancellationToken,
) -> anyhow::Result<&'static str> {
    let demand = Demand {
        kind: spec.kind,
        rate: spec.rate,
        seconds: spec.seconds.into(),
        mix: spec.mix,
        seed: load.seed,
        insists: false,
    };
    let generator = Generator::start(&app.site.url, &app.site.login, &demand).await?;
    let began = Instant::now();
    let mut count = Count::new();
    let state = loop {
        let waited = stop.run_until_cancelled(sleep(BEAT)).await;
        let (new, dropped) = generator.samples().since(count.seen);
        count.take(load, &new, dropped, began.elapsed().as_secs_f64());
        if app.runs.beat(load.id, &load.text()).await.unwrap_or(false) || waited.is_none() {
            break "stopped";
        }
        app.changes.send_replace(());
        if count.is_too_much(spec.abort_failed_ratio) {
            let percent = spec.abort_failed_ratio * 100.0;
            load.detail = Some(format!(
                "more than {percent} % of the last seconds were bad"
            ));
            break "aborted";
        }
        if generator.is_over() {
            break "done";
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let sent = generator.stop().await?;
    let (new, dropped) = sent.samples().since(count.seen);
    count.take(load, &new, dropped, seconds);
    Ok(state)
}
