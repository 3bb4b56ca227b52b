//! Prometheus and Alertmanager beside the platform: whether they run, where, and with which files.
use super::{data::DataFolder, event::Event, logs::LogFile, tool::Tool};
use crate::ports::{Layout, free, holder, url};
use anyhow::{Context as _, bail};
use std::{env, ffi::OsString, fs, path::PathBuf, sync::Arc};
use tokio::sync::mpsc::Sender;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

mod files;

/// Ports above the first one inside; with the default that makes 9090 and 9093.
const PROMETHEUS: u16 = 4_090;
const ALERTMANAGER: u16 = 4_093;

/// Settings of what watches the platform.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Start Prometheus and Alertmanager, and fail without them
    ///
    /// With neither this nor --no-monitoring they are started where both are on the PATH and their
    /// ports are free.
    #[arg(long, overrides_with = "no_monitoring")]
    pub monitoring: bool,
    /// Start neither Prometheus nor Alertmanager
    #[arg(long, overrides_with = "monitoring")]
    pub no_monitoring: bool,
    /// Port of Prometheus; --base-port + 4090 when left out
    #[arg(long, value_name = "PORT")]
    pub prometheus_port: Option<u16>,
    /// Port of Alertmanager; --base-port + 4093 when left out
    #[arg(long, value_name = "PORT")]
    pub alertmanager_port: Option<u16>,
}

/// What will run, and where.
#[derive(Debug)]
pub struct Plan {
    prometheus: Place,
    alertmanager: Place,
}

#[derive(Debug)]
struct Place {
    program: PathBuf,
    port: u16,
}

/// Both, running.
#[derive(Debug)]
pub struct Monitoring {
    /// For the table: what, and where it is looked at.
    pub pages: [(&'static str, String); 2],
    /// In the order of their start.
    pub tools: [Arc<Tool>; 2],
    leave: CancellationToken,
    lives: TaskTracker,
}

impl Plan {
    /// None where they are not wanted, or not there and nobody insists; then perhaps with a word why.
    pub async fn make(
        args: &Args,
        layout: &Layout,
    ) -> anyhow::Result<(Option<Self>, Option<String>)> {
        if args.no_monitoring {
            return Ok((None, None));
        }
        let found = (
            executable(&["prometheus"]),
            executable(&["alertmanager", "prometheus-alertmanager"]),
        );
        let (prometheus, alertmanager) = match found {
            (Some(prometheus), Some(alertmanager)) => (prometheus, alertmanager),
            (prometheus, _) if args.monitoring => {
                let missing = if prometheus.is_none() {
                    "prometheus"
                } else {
                    "alertmanager"
                };
                bail!(
                    "--monitoring: there is no {missing} on the PATH; install it \
                     (Debian: apt-get install prometheus prometheus-alertmanager), or start without"
                );
            }
            _ => return Ok((None, None)),
        };
        let port = |given: Option<u16>, offset| given.unwrap_or(layout.base_port + offset);
        let plan = Self {
            prometheus: Place {
                program: prometheus,
                port: port(args.prometheus_port, PROMETHEUS),
            },
            alertmanager: Place {
                program: alertmanager,
                port: port(args.alertmanager_port, ALERTMANAGER),
            },
        };
        match plan.obstacle(layout).await {
            None => Ok((Some(plan), None)),
            Some(reason) if args.monitoring => bail!("--monitoring: {reason}"),
            Some(reason) => Ok((None, Some(format!("no monitoring: {reason}")))),
        }
    }

    /// Who is in the way.
    async fn obstacle(&self, layout: &Layout) -> Option<String> {
        let places = [
            (
                "--prometheus-port",
                self.prometheus.port,
                self.alertmanager.port,
            ),
            (
                "--alertmanager-port",
                self.alertmanager.port,
                self.prometheus.port,
            ),
        ];
        for (flag, port, other) in places {
            let ours = layout
                .places()
                .any(|place| place.api == port || place.ops == port);
            if ours || port == other {
                return Some(format!(
                    "port {port} is wanted twice; choose another with {flag}"
                ));
            }
            if let Err(error) = free(port).await {
                let why = holder(port).map_or(error.to_string(), |holder| holder.to_string());
                return Some(format!(
                    "port {port} is taken ({why}); free it, or choose another with {flag}"
                ));
            }
        }
        None
    }

    pub fn prometheus_url(&self) -> String {
        url(self.prometheus.port)
    }

    /// Writes their files and starts both.
    pub fn start(
        self,
        layout: &Layout,
        data: &DataFolder,
        events: &Sender<Event>,
        kill: &CancellationToken,
    ) -> anyhow::Result<Monitoring> {
        files::write(&self, layout, data).context("cannot write the files of the monitoring")?;
        let log = |name: &str| LogFile::new(data.path().join(format!("logs/{name}.log")));
        let tool = |name, place: &Place, arguments| {
            Arc::new(Tool {
                name,
                program: place.program.clone(),
                arguments,
                log: log(name),
                events: events.clone(),
            })
        };
        let tools = [
            tool(
                "alertmanager",
                &self.alertmanager,
                self.of_alertmanager(data),
            ),
            tool("prometheus", &self.prometheus, self.of_prometheus(data)),
        ];
        let (leave, lives) = (CancellationToken::new(), TaskTracker::new());
        for tool in tools.clone() {
            let (leave, kill) = (leave.clone(), kill.clone());
            lives.spawn(async move { tool.live(leave, kill).await });
        }
        Ok(Monitoring {
            pages: [
                ("metrics", url(self.prometheus.port)),
                ("alerts", url(self.alertmanager.port)),
            ],
            tools,
            leave,
            lives,
        })
    }

    fn of_prometheus(&self, data: &DataFolder) -> Vec<OsString> {
        vec![
            option("--config.file", data.path().join(files::PROMETHEUS)),
            option("--storage.tsdb.path", data.path().join("prometheus/data")),
            "--storage.tsdb.retention.time=1d".into(),
            "--storage.tsdb.retention.size=256MB".into(),
            "--enable-feature=exemplar-storage".into(),
            "--log.level=warn".into(),
            format!("--web.listen-address=127.0.0.1:{}", self.prometheus.port).into(),
        ]
    }

    fn of_alertmanager(&self, data: &DataFolder) -> Vec<OsString> {
        vec![
            option("--config.file", data.path().join(files::ALERTMANAGER)),
            option("--storage.path", data.path().join("alertmanager/data")),
            // Alone.
            "--cluster.listen-address=".into(),
            "--log.level=warn".into(),
            format!("--web.listen-address=127.0.0.1:{}", self.alertmanager.port).into(),
        ]
    }
}

impl Monitoring {
    /// Lets both finish.
    pub async fn leave(&self) {
        self.leave.cancel();
        self.lives.close();
        self.lives.wait().await;
    }
}

fn option(name: &str, value: PathBuf) -> OsString {
    let mut option = OsString::from(format!("{name}="));
    option.push(value);
    option
}

/// The first of these names that is on the PATH.
fn executable(names: &[&str]) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = env::var_os("PATH")?;
    names.iter().find_map(|name| {
        let mut places = env::split_paths(&path).map(|folder| folder.join(name));
        places.find(|file| {
            let meta = fs::metadata(file);
            meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
    })
}
