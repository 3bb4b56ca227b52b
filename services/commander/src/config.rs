//! The settings of commander.
use client::Urls;
use service::Secret;
use std::{net::SocketAddr, path::PathBuf, str::FromStr};

/// Shows every replica, and breaks things on purpose.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "commander", version)]
pub struct Config {
    /// Address of the API.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:5006")]
    pub listen: SocketAddr,
    /// Where the replicas are: processes of `seawall up`, containers of a compose file, or pods of a cluster.
    #[arg(long, env = "DRIVER", default_value = "local")]
    pub driver: Environment,
    /// Control socket of `seawall up`, for the driver `local`.
    #[arg(
        long,
        env = "SUPERVISOR_SOCKET",
        default_value = ".seawall/control.sock"
    )]
    pub supervisor_socket: PathBuf,
    /// Namespace of the pods, for the driver `kubernetes`. When left out, commander's own.
    #[cfg(feature = "kubernetes")]
    #[arg(long, env = "POD_NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// The API server, where commander doesn't run in the cluster itself: `kubectl proxy`.
    #[cfg(feature = "kubernetes")]
    #[arg(long, env = "KUBERNETES_API_URL")]
    pub kubernetes_api_url: Option<http::Uri>,
    /// Ops listeners of all gateways, whose metrics are the golden signals.
    #[arg(
        long,
        env = "GATEWAY_OPS_URLS",
        default_value = "http://127.0.0.1:15007"
    )]
    pub gateway_ops_urls: Urls,
    /// Replicas of worker, who knows the queues.
    #[arg(long, env = "WORKER_URLS", default_value = "http://127.0.0.1:5005")]
    pub worker_urls: Urls,
    /// The gateways' public address, through which loads and drills come as everybody else's requests do.
    #[arg(long, env = "GATEWAY_URLS", default_value = "http://127.0.0.1:8080")]
    pub gateway_urls: Urls,
    /// Replicas of auth, who give an operator's token to drills.
    #[arg(long, env = "AUTH_URLS", default_value = "http://127.0.0.1:5003")]
    pub auth_urls: Urls,
    /// Prometheus, whom drills ask for the alerts that fire.
    #[arg(long, env = "PROMETHEUS_URL")]
    pub prometheus_url: Option<Urls>,
    /// Alertmanager, whom they ask where there is no Prometheus.
    #[arg(long, env = "ALERTMANAGER_URL")]
    pub alertmanager_url: Option<Urls>,
    /// Folder of drills to take instead of those built in.
    #[arg(long, env = "DRILLS")]
    pub drills: Option<PathBuf>,
    /// Ops listeners of all services, for the driver `compose`: each address behind a name is a container.
    #[arg(long, env = "OPS_URLS", value_delimiter = ',', default_value = SERVICES)]
    pub ops_urls: Vec<OpsUrl>,
    /// Makes the random choices of this process repeatable. When left out, a new one is made and logged.
    #[arg(long, env = "CHAOS_SEED")]
    pub chaos_seed: Option<u64>,
    /// What Alertmanager must show (`Authorization: Bearer`) to tell its alerts. When left out, nothing.
    #[arg(long, env = "ALERT_TOKEN", hide_env_values = true)]
    pub alert_token: Option<Secret>,
    /// The same from a file.
    #[arg(long, env = "ALERT_TOKEN_FILE", value_parser = Secret::from_file, conflicts_with = "alert_token")]
    pub alert_token_file: Option<Secret>,
    #[command(flatten)]
    pub db: db::Settings,
    #[command(flatten)]
    pub client: client::Settings,
    #[command(flatten)]
    pub service: service::Config,
}

/// What commander commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Environment {
    Local,
    Compose,
    /// In builds with the feature of that name.
    #[cfg(feature = "kubernetes")]
    Kubernetes,
}

impl Config {
    /// The token of Alertmanager, if one is asked for.
    #[must_use]
    pub fn alert_token(&self) -> Option<&Secret> {
        self.alert_token.as_ref().or(self.alert_token_file.as_ref())
    }
}

impl AsRef<service::Config> for Config {
    fn as_ref(&self) -> &service::Config {
        &self.service
    }
}

/// In a container every service's ops port is the same.
const SERVICES: &str = "gateway=http://gateway:9091,order=http://order:9091,\
    inventory=http://inventory:9091,notification=http://notification:9091,auth=http://auth:9091,\
    image=http://image:9091,worker=http://worker:9091,commander=http://commander:9091";

/// `order=http://order:9091`: the ops listeners of a service's replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpsUrl {
    pub service: String,
    pub host: String,
    pub port: u16,
}

impl FromStr for OpsUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (service, url) = text.trim().split_once('=')?;
            let place = url.strip_prefix("http://")?.trim_end_matches('/');
            let (host, port) = place.rsplit_once(':')?;
            let named = !service.is_empty() && !host.is_empty() && !host.contains('/');
            named.then_some(Self {
                service: service.to_owned(),
                host: host.to_owned(),
                port: port.parse().ok()?,
            })
        };
        parse().ok_or("expected SERVICE=http://HOST:PORT")
    }
}
