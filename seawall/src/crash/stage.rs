//! The platform of a run: `seawall up` as a child in a folder of its own, and what is broken of it.
use super::{
    args::Args,
    buyer::{Run, Shop},
    evidence::Databases,
    schedule::{Fault, Kind, Schedule},
};
use crate::{http, operator, ports::url, services, tether};
use ::http::header::AUTHORIZATION;
use anyhow::{Context as _, bail, ensure};
use control::{Client, Replica, Signal, State};
use serde_json::json;
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Longest wait for the platform to be whole, or for a schedule's events to be worked in.
const PATIENCE: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(50);
/// Between two sweeps of holds whose order never came.
const SWEEP: Duration = Duration::from_millis(500);

/// Everything that a run needs; the platform ends with it.
pub struct Stage {
    platform: Child,
    pub data: PathBuf,
    pub shop: Shop,
    control: Client,
    databases: Databases,
    servers: Vec<String>,
    postgres: Option<String>,
}

impl Stage {
    /// Starts the platform and waits until it is ready.
    pub async fn set(args: &Args, data: &Path, run: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(data)?;
        let data = data.canonicalize()?;
        let stored: Vec<_> = services::SERVICES
            .iter()
            .filter(|s| s.database)
            .map(|s| s.name)
            .collect();
        let servers: Vec<String> = match &args.postgres {
            Some(_) => stored
                .iter()
                .map(|service| format!("crash_{run}_{service}"))
                .collect(),
            None => Vec::new(),
        };
        if let Some(postgres) = &args.postgres {
            for name in &servers {
                superuser(postgres, &format!("CREATE DATABASE {name}")).await?;
            }
        }
        let url_of = |service: &str| match &args.postgres {
            Some(postgres) => database(postgres, &format!("crash_{run}_{service}")),
            None => format!("sqlite:{}/{service}.db", data.display()),
        };
        let sqlite = format!("sqlite:{}/queue.db", data.display());
        let queue = args.redis.clone().unwrap_or(sqlite);
        let mut command = command(args, &data)?;
        for service in &stored {
            command.env(
                format!("{}_DATABASE_URL", service.to_uppercase()),
                url_of(service),
            );
        }
        let platform = command.spawn().context("starting the platform")?;
        let control = Client::of(&data);
        whole(&control).await?;
        let url = url(args.layout.port);
        let token = operator::token(&url, &data, None).await?;
        Ok(Self {
            platform,
            shop: Shop {
                url,
                operator: format!("Bearer {token}"),
            },
            control,
            databases: Databases::open(url_of, &queue).await?,
            data,
            servers,
            postgres: args.postgres.clone(),
        })
    }

    /// Puts the products of a schedule on the shelf.
    pub async fn stock(&mut self, schedule: Schedule, run: &str) -> anyhow::Result<Run> {
        self.renew_token().await?;
        let headers = [(AUTHORIZATION, self.shop.operator.as_str())];
        let mut products = Vec::new();
        for (n, pieces) in schedule.stock.iter().enumerate() {
            let id = format!("CRASH-{run}-{}-{n}", schedule.seed);
            let path = format!("{}/api/products/{id}", self.shop.url);
            let product = json!({"name": id, "price_minor": 100, "currency": "EUR"});
            repeat(async || http::put(&path, &headers, &product).await).await?;
            let path = format!("{path}/stock");
            repeat(async || http::put(&path, &headers, &json!({"available": pieces})).await)
                .await?;
            products.push(id);
        }
        let name = format!("crash-{run}-{}", schedule.seed);
        Ok(Run::new(schedule, products, name))
    }

    /// Tokens live for minutes, runs for hours.
    async fn renew_token(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match operator::token(&self.shop.url, &self.data, None).await {
                Ok(token) => {
                    self.shop.operator = format!("Bearer {token}");
                    return Ok(());
                }
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => sleep(LOOK).await,
            }
        }
    }

    /// Breaks what the schedule says, when it says.
    pub async fn break_things(&self, faults: &[Fault]) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut thaws = Vec::new();
        for fault in faults {
            sleep(Duration::from_millis(fault.at).saturating_sub(began.elapsed())).await;
            let name = |replica: u16| format!("{}-{replica}", fault.service);
            match fault.kind {
                Kind::Kill(replica) => self.send(&name(replica), Signal::Kill).await,
                Kind::Drain(replica) => self.send(&name(replica), Signal::Term).await,
                Kind::KillAll => {
                    let all = self.control.list().await?;
                    for replica in all.iter().filter(|r| r.service == fault.service) {
                        self.send(&replica.name, Signal::Kill).await;
                    }
                }
                Kind::Freeze(replica, time) => {
                    self.send(&name(replica), Signal::Stop).await;
                    thaws.push((Instant::now() + Duration::from_millis(time), name(replica)));
                }
                Kind::Abort(place) => {
                    let folder = self.data.join("crashes").join(fault.service);
                    std::fs::create_dir_all(&folder)?;
                    std::fs::write(folder.join(place), "")?;
                }
            }
        }
        thaws.sort();
        for (at, name) in thaws {
            tokio::time::sleep_until(at).await;
            self.send(&name, Signal::Cont).await;
        }
        Ok(())
    }

    /// One that is between two lives can't get a signal, and need not.
    async fn send(&self, replica: &str, signal: Signal) {
        let _ = self.control.kill(replica, signal).await;
    }

    /// Waits until all replicas are ready and nothing about the run is on its way. False when that does
    /// not come about; the audit then tells what is left.
    pub async fn settle(&self, run: &Arc<Run>) -> anyhow::Result<bool> {
        // What nobody has passed by now, nobody shall later.
        let _ = std::fs::remove_dir_all(self.data.join("crashes"));
        whole(&self.control).await?;
        let until = Instant::now() + PATIENCE;
        let mut swept = Instant::now();
        loop {
            if matches!(self.databases.settled(run).await, Ok(true)) {
                return Ok(true);
            }
            if Instant::now() > until {
                return Ok(false);
            }
            if swept.elapsed() > SWEEP {
                swept = Instant::now();
                self.sweep().await;
            }
            sleep(LOOK).await;
        }
    }

    /// What the worker does once a minute.
    async fn sweep(&self) {
        let Ok(replicas) = self.control.list().await else {
            return;
        };
        let ready = |r: &&Replica| r.service == "inventory" && r.state == State::Ready;
        if let Some(inventory) = replicas.iter().find(ready) {
            let path = format!("{}/reservations/sweep", inventory.api);
            let _ = http::post(&path, &[], &serde_json::Value::Null).await;
        }
    }

    /// What is still in the queues when everything has been settled for a while.
    pub async fn left_over(&self) -> anyhow::Result<Vec<String>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = super::audit::queues(&self.databases.queues().await?);
            if left.is_empty() || Instant::now() > until {
                return Ok(left);
            }
            sleep(LOOK).await;
        }
    }

    pub async fn audit(&self, run: &Run) -> anyhow::Result<Vec<String>> {
        Ok(super::audit::audit(run, &self.databases.read(run).await?))
    }

    /// Ends the platform, and the databases that were made for it.
    pub async fn strike(mut self) -> anyhow::Result<()> {
        self.platform.kill().ok();
        self.platform.wait()?;
        self.databases.close().await;
        if let Some(postgres) = &self.postgres {
            for name in &self.servers {
                superuser(
                    postgres,
                    &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
                )
                .await?;
            }
        }
        Ok(())
    }
}

fn command(args: &Args, data: &Path) -> anyhow::Result<Command> {
    let output = File::create(data.join("up.log"))?;
    let mut command = Command::new("/proc/self/exe");
    let layout = &args.layout;
    command
        .arg("up")
        .args(["--port", &layout.port.to_string()])
        .args(["--base-port", &layout.base_port.to_string()])
        .args(["--replicas", &layout.replicas.to_string()])
        // A replica that is killed all the time has done nothing wrong.
        .args(["--healthy-after", "1ms"])
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    for (name, value) in [
        ("HOLD_SECONDS", "2"),
        ("OUTBOX_REDELIVER_SECONDS", "1"),
        ("DRAIN_TIME", "100ms"),
        ("LOG_LEVEL", "warn"),
    ] {
        command.env(name, value);
    }
    command.env("CRASH_DIR", data.join("crashes"));
    // However the run ends, its platform ends with it.
    command.env(tether::PARENT_PID, std::process::id().to_string());
    for name in ["REDIS_URL", "SMTP_URL", "SEEDED_BUGS"] {
        command.env_remove(name);
    }
    if let Some(redis) = &args.redis {
        command.env("REDIS_URL", redis);
    }
    if let Some(bug) = args.bug() {
        command.env("SEEDED_BUGS", bug);
    }
    Ok(command)
}

/// Waits until every replica is ready.
async fn whole(control: &Client) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let replicas = control.list().await.unwrap_or_default();
        if !replicas.is_empty() && replicas.iter().all(|r| r.state == State::Ready) {
            return Ok(());
        }
        if Instant::now() > until {
            let missing = replicas.iter().filter(|r| r.state != State::Ready);
            let missing: Vec<_> = missing
                .map(|r| format!("{} is {}", r.name, r.state))
                .collect();
            bail!("the platform did not get ready: {}", missing.join(", "));
        }
        sleep(LOOK).await;
    }
}

/// What may safely be repeated, until it works.
async fn repeat(call: impl AsyncFn() -> anyhow::Result<http::Answer>) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let failure = match call().await {
            Ok(answer) if answer.status == 200 => return Ok(()),
            Ok(answer) => answer.to_string(),
            Err(error) => format!("{error:#}"),
        };
        ensure!(Instant::now() < until, "{failure}");
        sleep(LOOK).await;
    }
}

async fn superuser(postgres: &str, statement: &str) -> anyhow::Result<()> {
    use sqlx::{Connection as _, Executor as _};
    let mut connection = sqlx::PgConnection::connect(postgres).await?;
    connection.execute(sqlx::AssertSqlSafe(statement)).await?;
    Ok(connection.close().await?)
}

/// The URL of another database of the same server.
fn database(postgres: &str, name: &str) -> String {
    let (server, rest) = postgres.rsplit_once('/').unwrap_or((postgres, ""));
    let options = rest
        .split_once('?')
        .map(|(_, options)| format!("?{options}"));
    format!("{server}/{name}{}", options.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::database;

    #[test]
    fn another_database_of_the_same_server() {
        assert_eq!(
            database("postgres://u@h:5/postgres", "a"),
            "postgres://u@h:5/a"
        );
        assert_eq!(
            database("postgres://h/x?sslmode=disable", "a"),
            "postgres://h/a?sslmode=disable"
        );
    }
}
