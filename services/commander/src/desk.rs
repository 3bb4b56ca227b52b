//! Carries out loads and drills in the background: what a request begins outlives it.
use crate::{
    App,
    drill::{
        course::{self, Options},
        file::Drill,
        postmortem::postmortem,
        progress::Progress,
        report::Verdict,
    },
    present_load::{self, Spec},
    store::runs::Run,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// One load and one drill run at a time; more than that are never asked for.
const WAITING: usize = 4;

/// What is to be carried out.
#[derive(Debug)]
pub enum Work {
    Load(Uuid, Spec),
    Drill(Box<Run>, Box<Drill>, Options),
}

/// Where requests leave their work.
#[derive(Clone)]
pub struct Desk {
    inbox: Sender<Work>,
    /// Taken by the one who works it off.
    waiting: Arc<Mutex<Option<Receiver<Work>>>>,
}

impl Desk {
    pub fn new() -> Self {
        let (inbox, waiting) = mpsc::channel(WAITING);
        Self {
            inbox,
            waiting: Arc::new(Mutex::new(Some(waiting))),
        }
    }

    /// False when nobody will do it: the process is about to end.
    pub fn leave(&self, work: Work) -> bool {
        self.inbox.try_send(work).is_ok()
    }
}

/// Works off what is left at the desk, until stopped; then nothing stays broken.
pub async fn run(app: App, stop: CancellationToken) -> anyhow::Result<()> {
    let waiting = app
        .desk
        .waiting
        .lock()
        .expect("nobody panics with it")
        .take();
    let Some(mut waiting) = waiting else {
        anyhow::bail!("somebody else works at this desk");
    };
    let mut works = JoinSet::new();
    while let Some(Some(work)) = stop.run_until_cancelled(waiting.recv()).await {
        while works.try_join_next().is_some() {}
        let (app, stop) = (app.clone(), stop.child_token());
        works.spawn(async move {
            match work {
                Work::Load(id, spec) => present_load::run(&app, id, &spec, &stop).await,
                Work::Drill(run, drill, options) => {
                    drill_one(&app, *run, &drill, &options, &stop).await
                }
            }
        });
    }
    works.join_all().await;
    Ok(())
}

async fn drill_one(
    app: &App,
    mut run: Run,
    drill: &Drill,
    options: &Options,
    stop: &CancellationToken,
) {
    let progress = Progress::default();
    let course = course::run(&app.site, drill, options, &progress, stop);
    tokio::pin!(course);
    let mut beats = interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let report = loop {
        tokio::select! {
            report = &mut course => break report,
            _ = beats.tick() => {
                // A database that is away for a moment, perhaps on purpose, stops nothing.
                if app.runs.beat(run.id, &live(&progress)).await.unwrap_or(false) {
                    stop.cancel();
                }
            }
        }
    };
    let exercise = options.hold.is_some();
    let mut verdict = report.verdict;
    if exercise {
        let solved = app.runs.get(run.id).await.ok().flatten();
        let solved = solved.is_some_and(|run| run.verdict.is_some());
        verdict = if solved {
            Verdict::Passed
        } else {
            Verdict::Aborted
        };
    }
    run.verdict = Some(verdict.name().to_owned());
    run.live = live(&progress);
    run.report = serde_json::to_string(&report).ok();
    run.markdown = Some(postmortem(&report));
    app.metrics.drilled(&drill.name, verdict);
    let detail = format!("{}: {verdict}", drill.name);
    keep(app, &run, &detail).await;
}

/// What came of it, however long the database takes to come back.
pub async fn keep(app: &App, run: &Run, detail: &str) {
    for _ in 0..60 {
        let kept = async {
            app.runs.end(run).await?;
            app.runs.conclude(run.id, "done", detail).await
        };
        match kept.await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(%error, run = %run.id, "the end of a run can't be kept for now")
            }
        }
        tokio::time::sleep(BEAT).await;
    }
    app.changes.send_replace(());
}

fn live(progress: &Progress) -> String {
    serde_json::to_string(&progress.story()).unwrap_or_default()
}
