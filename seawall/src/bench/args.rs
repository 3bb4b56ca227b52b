//! The command line of `seawall bench`.
use super::collect::Patience;
use crate::operator;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use commander::load::shop::{Login, Shop};
use control::Signal;
use serde::{Serialize, Serializer};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Put load on the running platform, measure it, and audit that nothing was lost.
///
/// Closed loop unless --rate is given: N connections, each sends its next order when the last
/// one is answered. With --rate orders arrive at a constant rate whatever the platform does,
/// and latency counts from the moment an order was due.
#[derive(Debug, Clone, Serialize, ClapArgs)]
#[command(subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    pub what: Option<What>,
    #[command(flatten)]
    pub platform: Platform,
    #[command(flatten)]
    pub load: Load,
    #[command(flatten)]
    pub kills: Kills,
    /// Send no load: measure idle CPU and memory of all processes for this long (such as 10s)
    #[arg(long, value_parser = duration, conflicts_with_all = ["audit_only", "rate", "kill_every", "compare_gateway"])]
    #[serde(serialize_with = "optional_seconds")]
    pub idle: Option<Duration>,
    /// Send no load: audit what is stored
    #[arg(long, conflicts_with_all = ["rate", "kill_every", "compare_gateway"])]
    pub audit_only: bool,
    /// How long the audit waits for deliveries to finish
    #[arg(long, value_parser = duration, default_value = "30s")]
    #[serde(serialize_with = "seconds")]
    pub settle: Duration,
    /// How much longer it waits when nothing but holds of orders that never came is left; they
    /// run out after HOLD_SECONDS, and the next sweep ends them
    #[arg(long, value_parser = duration, default_value = "200s", value_name = "TIME")]
    #[serde(serialize_with = "seconds")]
    pub settle_holds: Duration,
    /// Fail when the generator itself had to drop requests
    #[arg(long)]
    pub strict: bool,
}

impl Args {
    /// How long the audit waits.
    pub fn patience(&self) -> Patience {
        Patience {
            settle: self.settle,
            holds: self.settle_holds,
        }
    }
}

/// Other things to measure than orders.
#[derive(Debug, Clone, Serialize, Subcommand)]
pub enum What {
    /// Push echo jobs through the API and wait until all are done
    Jobs {
        /// How many jobs
        #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
        jobs: u32,
        /// Connections that push
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
        concurrency: u16,
        /// Longest wait for the jobs after the last push
        #[arg(long, value_parser = duration, default_value = "60s")]
        #[serde(serialize_with = "seconds")]
        patience: Duration,
    },
}

/// Where the platform is.
#[derive(Debug, Clone, Serialize, ClapArgs)]
pub struct Platform {
    /// The gateway
    #[arg(long, default_value = "http://localhost:8080", global = true)]
    pub url: String,
    /// Data folder of `seawall up`; its control socket tells pids and kills replicas
    #[arg(
        long,
        env = "SEAWALL_DATA",
        default_value = ".seawall",
        global = true,
        value_name = "DIR"
    )]
    pub data: PathBuf,
    /// Password of `operator`; not needed on the machine of a platform that `seawall up` runs
    #[arg(
        long,
        env = "OPERATOR_PASSWORD",
        hide_env_values = true,
        global = true,
        value_name = "PASSWORD"
    )]
    #[serde(skip)]
    pub operator_password: Option<String>,
    /// Write the whole report as JSON to this file; `-` prints it instead of the table
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Platform {
    /// The way to its API.
    pub async fn shop(&self) -> anyhow::Result<Shop> {
        Shop::open(&self.url, self.login()).await
    }

    /// The way to an operator's token.
    fn login(&self) -> Login {
        let platform = Arc::new(self.clone());
        Arc::new(move || {
            let platform = platform.clone();
            Box::pin(async move {
                let url = platform.url.trim_end_matches('/');
                let password = platform.operator_password.as_deref();
                operator::token(url, &platform.data, password).await
            })
        })
    }
}

/// What is sent, and how fast.
#[derive(Debug, Clone, Serialize, ClapArgs)]
pub struct Load {
    /// Closed loop: how many orders
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "rate")]
    pub orders: u32,
    /// Connections (the most there may be, with --rate) [default: 64; with --rate 1024]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: Option<u16>,
    /// Open loop: orders per second
    #[arg(long, value_parser = positive)]
    pub rate: Option<f64>,
    /// Open loop: how long
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..), requires = "rate")]
    pub seconds: u32,
    /// Orders sent before measuring starts
    #[arg(long, default_value_t = 0)]
    pub warmup: u32,
    /// Decides products, reads and victims; drawn and printed when left out
    #[arg(long)]
    pub seed: Option<u64>,
    /// Spread the orders over the first N products; adds what is missing [default: all there are]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=999), value_name = "N")]
    pub products: Option<u32>,
    /// Order this one product only, such as PROD-001
    #[arg(long, conflicts_with = "products", value_name = "ID")]
    pub product: Option<String>,
    /// Share of requests that read a product instead; the reads come on top of the orders
    #[arg(long, default_value_t = 0.0, value_parser = share, conflicts_with_all = ["path", "compare_gateway"])]
    pub mix: f64,
    /// Leave the stock as it is; orders may then be sold out
    #[arg(long)]
    pub no_restock: bool,
    /// Send nothing a second time; otherwise what broke or met a 503 is sent once more under its key
    #[arg(long)]
    pub no_retry: bool,
    /// Send orders through the gateway, or straight to the order replicas
    #[arg(long, value_enum, default_value_t = Path::Gateway)]
    pub path: Path,
    /// Run both paths in turns and print what the gateway costs
    #[arg(long, conflicts_with_all = ["path", "rate", "kill_every"])]
    pub compare_gateway: bool,
    /// Longest wait for one answer
    #[arg(long, value_parser = duration, default_value = "5s")]
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
}

/// The way of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    Gateway,
    Direct,
}

/// Replicas that die while the load runs.
#[derive(Debug, Clone, Serialize, ClapArgs)]
pub struct Kills {
    /// Kill a random replica this often, never a second before the first is ready again
    #[arg(long, value_parser = duration, value_name = "TIME")]
    #[serde(serialize_with = "optional_seconds")]
    pub kill_every: Option<Duration>,
    /// Kill replicas of this service only
    #[arg(long, requires = "kill_every", value_name = "SERVICE")]
    pub kill: Option<String>,
    /// KILL crashes a replica, TERM drains it
    #[arg(long, value_parser = signal, default_value = "KILL", requires = "kill_every")]
    pub signal: Signal,
}

fn signal(text: &str) -> Result<Signal, String> {
    match text {
        "KILL" => Ok(Signal::Kill),
        "TERM" => Ok(Signal::Term),
        _ => Err("KILL or TERM".into()),
    }
}

/// Reads `250ms`, `2s`, `1.5m`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err("a time such as 250ms, 2s or 1m".into()),
    };
    let number: f64 = text[..text.len() - unit.len()]
        .parse()
        .map_err(|_| "a time such as 250ms, 2s or 1m")?;
    let time = Duration::try_from_secs_f64(number * scale).map_err(|e| e.to_string())?;
    if time.is_zero() {
        return Err("more than nothing".into());
    }
    Ok(time)
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(n) if n > 0.0 && n <= 1e6 => Ok(n),
        _ => Err("a number above 0, at most a million".into()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(n) if (0.0..=0.99).contains(&n) => Ok(n),
        _ => Err("a share from 0 to 0.99".into()),
    }
}

// Serde hands over a reference.
fn seconds<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

// Serde hands over a reference.
fn optional_seconds<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|t| t.as_secs_f64()).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.args)
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("3"), Ok(Duration::from_secs(3)));
        for bad in ["", "s", "2h", "0s", "1.2.3s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn combinations_that_make_no_sense_are_refused() {
        for line in [
            "--rate 0",
            "--rate 10 --orders 5",
            "--seconds 5",
            "--kill order",
            "--kill-every 1s --signal STOP",
            "--compare-gateway --kill-every 1s",
            "--compare-gateway --path direct",
            "--audit-only --rate 5",
            "--mix 1",
            "--products 2 --product PROD-001",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn options_of_the_platform_fit_behind_the_subcommand_too() {
        let args = parse("jobs --jobs 7 --url http://127.0.0.1:1 --json -").expect("valid");
        assert_eq!(args.platform.url, "http://127.0.0.1:1");
        assert!(matches!(args.what, Some(What::Jobs { jobs: 7, .. })));
    }

    #[test]
    fn the_password_stays_out_of_the_report() {
        let args = parse("--operator-password hunter2").expect("valid");
        let json = serde_json::to_string(&args).expect("serializable");
        assert!(!json.contains("hunter2"), "{json}");
        assert!(json.contains(r#""settle":30.0"#), "{json}");
    }
}
