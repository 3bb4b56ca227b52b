//! `seawall doctor`: is everything well, and if not, what to do about it.
mod local;
mod monitoring;
mod order;

use crate::{http, operator, ports::Layout, up};
use anyhow::{Context as _, ensure};
use control::{Client, Replica};
use serde_json::Value;
use std::{fmt::Display, path::PathBuf, process::ExitCode};

/// Settings of `seawall doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The platform to check [default: http://localhost:PORT]
    #[arg(long)]
    pub url: Option<String>,
    /// Data folder of the platform on this machine
    #[arg(
        long,
        value_name = "DIR",
        env = "SEAWALL_DATA",
        default_value = ".seawall"
    )]
    pub data: PathBuf,
    /// Password of `operator`; not needed on the machine of a platform that `seawall up` runs
    #[arg(
        long,
        env = "OPERATOR_PASSWORD",
        hide_env_values = true,
        value_name = "PASSWORD"
    )]
    pub operator_password: Option<String>,
    /// As they were given to `seawall up`
    #[command(flatten)]
    pub layout: Layout,
}

/// Checks everything, prints a line for each, and fails if one does.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    if args.url.is_some() && !args.data.exists() {
        report.skip(
            "this machine",
            "no data folder here, so only the URL is checked",
        );
    } else {
        this_machine(&args, &mut report).await;
    }
    let port = args.layout.port;
    let url = args.url.unwrap_or(format!("http://localhost:{port}"));
    let url = url.trim_end_matches('/');
    let hint =
        "a service without a ready replica is named above or in the answer; its log says why";
    report.check("status", hint, status(url).await);
    let password = args.operator_password.as_deref();
    let token = operator::token(url, &args.data, password).await;
    let hint = "set OPERATOR_PASSWORD, or give the platform's folder with --data";
    let logged_in = token.as_ref().map(|_| "is logged in".to_owned());
    let logged_in = logged_in.map_err(|error| anyhow::anyhow!("{error:#}"));
    report.check("operator", hint, logged_in);
    if let Ok(token) = token {
        order::check(url, &token, &mut report).await;
    }
    Ok(report.verdict())
}

async fn this_machine(args: &Args, report: &mut Report) {
    let hint = "it is made by `seawall up` and needs space; give another with --data";
    report.check("data folder", hint, local::data_folder(&args.data));
    let replicas = Client::of(&args.data).list().await;
    let Ok(replicas) = replicas else {
        let hint = "start the platform with `seawall up`, or give its folder with --data";
        report.check("supervisor", hint, local::supervisor_is_away(&args.data));
        let ports = args.layout.check().await.map(|()| "all free".to_owned());
        report.check("ports", "", ports);
        return;
    };
    report.check(
        "supervisor",
        "",
        Ok(format!("runs {} replicas", replicas.len())),
    );
    let hint = "stop that process and wait for the replica to restart";
    report.check("ports", hint, local::ports(&replicas));
    for replica in &replicas {
        let log = args.data.join(format!("logs/{}.log", replica.name));
        let hint = format!("see {}", log.display());
        report.check(&replica.name, &hint, local::ready(replica).await);
    }
    for replica in &replicas {
        let hint = format!("compare with `curl {}/metrics`", replica.ops);
        let name = format!("{} metrics", replica.name);
        report.check(&name, &hint, local::metrics(replica).await);
    }
    match up::data::prometheus(&args.data) {
        Some(prometheus) => what_watches(&prometheus, &replicas, report).await,
        None => report.skip("scrape targets", "`seawall up` has started no Prometheus"),
    }
}

async fn what_watches(prometheus: &str, replicas: &[Replica], report: &mut Report) {
    let hint = format!("see {prometheus}/targets");
    let targets = monitoring::targets(prometheus, replicas).await;
    report.check("scrape targets", &hint, targets);
    let hint = format!("see {prometheus}/rules");
    let rules = monitoring::rules(prometheus).await;
    report.check("alert rules", &hint, rules);
}

async fn status(url: &str) -> anyhow::Result<String> {
    let answer = http::get(&format!("{url}/api/status"), &[]).await?;
    ensure!(answer.status == 200, "{answer}");
    let status: Value = serde_json::from_slice(&answer.body).context("not JSON")?;
    ensure!(status["ready"] == true, "not ready: {status}");
    Ok("every service has a ready replica".to_owned())
}

/// Prints results as they come and remembers whether all were good.
#[derive(Default)]
struct Report {
    good: u32,
    bad: u32,
}

impl Report {
    /// One line: what is well, or what is not and (`hint`) what to do about it.
    fn check(&mut self, name: &str, hint: &str, result: anyhow::Result<String>) {
        match result {
            Ok(text) => {
                self.good += 1;
                line("ok", name, text);
            }
            Err(error) if hint.is_empty() => {
                self.bad += 1;
                line("FAIL", name, format!("{error:#}"));
            }
            Err(error) => {
                self.bad += 1;
                line("FAIL", name, format!("{error:#} -> {hint}"));
            }
        }
    }

    /// A check that does not apply.
    fn skip(&self, name: &str, why: &str) {
        line("skip", name, why);
    }

    fn verdict(&self) -> ExitCode {
        match self.bad {
            0 => println!("all {} checks are ok", self.good),
            bad => println!("{bad} of {} checks failed", self.good + bad),
        }
        ExitCode::from(u8::from(self.bad > 0))
    }
}

fn line(state: &str, name: &str, text: impl Display) {
    println!("{state:<5} {name:<23} {text}");
}
