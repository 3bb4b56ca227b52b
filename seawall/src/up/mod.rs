//! `seawall up`: the supervisor. Starts every replica as a child process, restarts what dies,
//! and stops everything in order at the end.
pub mod data;
mod event;
mod fleet;
mod logs;
mod monitoring;
mod probe;
mod replica;
mod rollout;
mod screen;
mod settings;
mod table;
mod tool;

use crate::{ports::Layout, services};
use data::DataFolder;
use event::Event;
use fleet::Fleet;
use monitoring::{Monitoring, Plan};
use rustix::fs::Mode;
use screen::Screen;
use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

/// How often the children's logs are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Not ready by then? The table is printed all the same, so that people see who is missing.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events that may wait to be reported; more are dropped, what matters is in the replicas' state.
const EVENTS: usize = 1000;
/// Some tools send the signal twice, to the process and to its group; so soon it is no second wish.
const ECHO: Duration = Duration::from_millis(500);

/// Settings of `seawall up`. Everything else (LOG_LEVEL, TZ, CRON_SCHEDULE, SMTP_URL, REDIS_URL,
/// OTEL_*, ORDER_DATABASE_URL and the like) reaches the services from the environment.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub layout: Layout,
    /// Folder of all state: databases, queue, logs, secrets
    #[arg(
        long,
        value_name = "DIR",
        env = "SEAWALL_DATA",
        default_value = ".seawall"
    )]
    pub data: PathBuf,
    /// Start without fault points, so that nothing can be broken on purpose
    #[arg(long)]
    pub no_chaos: bool,
    /// A rollout whose new version isn't ready by then is rolled back
    #[arg(long, value_name = "TIME", env = "ROLLOUT_DEADLINE", default_value = "10s", value_parser = crate::bench::duration)]
    pub rollout_deadline: Duration,
    /// A replica that was ready for so long starts again at once when it dies
    #[arg(long, value_name = "TIME", default_value = "10s", hide = true, value_parser = crate::bench::duration)]
    pub healthy_after: Duration,
    #[command(flatten)]
    pub monitoring: monitoring::Args,
}

/// Runs the platform until a signal stops it, or a setting that no service can start with.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    // Databases hold addresses of customers: what is made here is for this user alone.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let data = DataFolder::open(&args.data)?;
    args.layout.check().await?;
    let (monitoring, without) = Plan::make(&args.monitoring, &args.layout).await?;
    let prometheus = monitoring.as_ref().map(Plan::prometheus_url);
    data.tell_prometheus(prometheus.as_deref())?;
    let socket = control::listen(data.path())?;
    let (events, receiver) = mpsc::channel(EVENTS);
    let fleet = Fleet::start(&args, &data, &events)?;
    let start = |plan: Plan| plan.start(&args.layout, &data, &events, &fleet.kill);
    let mut supervisor = Supervisor {
        started: Instant::now(),
        screen: Screen::new(),
        monitoring: monitoring.map(start).transpose()?,
        fleet,
        operator: settings::operator_password(&data)?,
        events: receiver,
        console: format!("http://localhost:{}", args.layout.port),
        data,
    };
    let (changes, answer) = (
        supervisor.fleet.changes(),
        supervisor.fleet.clone().answer(),
    );
    tokio::spawn(control::serve(socket, changes, answer));
    if let Some(reason) = without {
        supervisor.screen.note(&reason);
    }
    let fatal = supervisor.watch(&mut signals).await;
    supervisor.stop(&mut signals).await;
    supervisor.screen.close();
    Ok(match fatal {
        Some(reason) => {
            eprintln!("seawall: {reason}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    })
}

struct Supervisor {
    started: Instant,
    screen: Screen,
    fleet: Arc<Fleet>,
    monitoring: Option<Monitoring>,
    events: mpsc::Receiver<Event>,
    console: String,
    /// The operator's password, if people don't know it yet.
    operator: Option<String>,
    /// Locked as long as this lives.
    data: DataFolder,
}

impl Supervisor {
    /// Reports what happens until a signal comes (None) or a service cannot start at all (why).
    async fn watch(&mut self, signals: &mut Signals) -> Option<String> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut announced = false;
        loop {
            tokio::select! {
                () = signals.next() => return None,
                Some(event) = self.events.recv() => {
                    // Until then the table says who is ready.
                    if announced || event.is_bad() {
                        self.screen.event(&event);
                    }
                    if let Some(reason) = self.fleet.hopeless() {
                        return Some(reason);
                    }
                }
                _ = tick.tick() => self.logs(),
            }
            if !announced && (self.fleet.ready() || self.started.elapsed() > PATIENCE) {
                announced = true;
                self.screen.text(&table::render(self));
                if self.fleet.has(services::ACCOUNTS)
                    && let Err(error) = self.data.operator_is_told()
                {
                    self.screen.note(&format!("{error:#}"));
                }
            }
        }
    }

    /// Lets every replica drain, callers first; at a second signal kills what is left.
    async fn stop(&mut self, signals: &mut Signals) {
        let began = Instant::now();
        self.screen
            .note("stopping (the same signal again kills at once)");
        let kill = self.fleet.kill.clone();
        let mut tick = interval(TICK);
        let leave = async {
            self.fleet.leave().await;
            // Last: what happens on the way down is seen, too.
            if let Some(monitoring) = &self.monitoring {
                monitoring.leave().await;
            }
        };
        let mut left = std::pin::pin!(leave);
        loop {
            tokio::select! {
                () = &mut left => break,
                () = signals.next() => if began.elapsed() > ECHO { kill.cancel() },
                Some(event) = self.events.recv() => self.screen.event(&event),
                _ = tick.tick() => self.logs(),
            }
        }
        while let Ok(event) = self.events.try_recv() {
            self.screen.event(&event);
        }
        let took = began.elapsed().as_secs_f32();
        self.screen.note(&format!("stopped in {took:.1} s"));
    }

    fn logs(&self) {
        for replica in &self.fleet.replicas {
            if replica.is_new() {
                continue;
            }
            for line in replica.log.appended() {
                if let Some(line) = logs::notable(&line) {
                    self.screen.child(&replica.name, &line);
                }
            }
        }
        // Theirs are for those who look; here they are only kept small.
        for tool in self.monitoring.iter().flat_map(|both| &both.tools) {
            tool.log.appended();
        }
        self.screen.tick();
    }
}

/// The signals that end the supervisor.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
