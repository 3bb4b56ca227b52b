//! How replicas are seen and killed in each environment.
mod compose;

#[cfg(feature = "kubernetes")]
use crate::cluster::{self, Cluster};
use crate::{
    config::{Config, Environment},
    error::{Error, Result},
    points::Points,
    replica::{Replica, State},
};
use compose::{Compose, Followed};
use control::{Rollout, Signal};
use service::faults::{Kind, Spec};

/// The environment commander commands.
#[derive(Clone, Debug)]
pub enum Driver {
    /// Processes of `seawall up`, through the supervisor's socket.
    Local(control::Client),
    /// Containers, which are killed through their fault points and restarted by Docker.
    Compose(Compose),
    /// Pods, through the API server.
    #[cfg(feature = "kubernetes")]
    Kubernetes(Cluster),
}

impl Driver {
    pub fn new(config: &Config) -> Self {
        match config.driver {
            Environment::Local => {
                Self::Local(control::Client::at(config.supervisor_socket.clone()))
            }
            Environment::Compose => Self::Compose(Compose::new(&config.ops_urls)),
            #[cfg(feature = "kubernetes")]
            Environment::Kubernetes => Self::Kubernetes(Cluster::new(config)),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::Compose(_) => "compose",
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(_) => "kubernetes",
        }
    }

    /// All replicas, a service's beside each other; none where they can't be seen.
    pub async fn replicas(&self) -> Result<Vec<Replica>> {
        match self {
            Self::Local(supervisor) => {
                let replicas = supervisor.list().await.map_err(Error::Away)?;
                Ok(replicas.into_iter().map(Replica::from).collect())
            }
            Self::Compose(containers) => Ok(containers.replicas().await),
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(cluster) => cluster.replicas().await,
        }
    }

    /// Kills a replica without a warning: by SIGKILL, or by its own hand.
    pub async fn kill(&self, replica: &Replica, points: &Points) -> Result<()> {
        match self {
            Self::Local(supervisor) => {
                let killed = supervisor.kill(&replica.name, Signal::Kill).await;
                killed.map(drop).map_err(Error::Away)
            }
            Self::Compose(_) => {
                let crash = Spec::new(Kind::Crash, 1);
                points.begin(replica, &crash).await.map(drop)
            }
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(cluster) => cluster.kill(&replica.name).await,
        }
    }

    /// Can it have another number of replicas?
    pub fn scales(&self) -> bool {
        match self {
            Self::Local(_) | Self::Compose(_) => false,
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(_) => true,
        }
    }

    /// Has so many pods run of a workload.
    #[cfg_attr(not(feature = "kubernetes"), expect(unused_variables))]
    pub async fn scale(&self, workload: &str, pods: u32) -> Result<()> {
        match self {
            Self::Local(_) | Self::Compose(_) => Err(Error::NotAvailableHere),
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(cluster) => cluster.scale(workload, pods).await,
        }
    }

    /// Is a new version its business?
    pub fn rolls_out(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Replaces the replicas of a service one after the other; [`Driver::progress`] knows it by `id`.
    pub async fn roll_out(&self, id: &str, service: &str, broken: bool) -> Result<()> {
        match self {
            Self::Local(supervisor) => {
                let started = supervisor.roll_out(id, service, broken).await;
                started.map_err(Error::Away)
            }
            Self::Compose(_) => Err(Error::NotAvailableHere),
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(_) => Err(Error::NotAvailableHere),
        }
    }

    /// How far the rollout `id` is; None: it is not known, nor will it be.
    pub async fn progress(&self, id: &str) -> anyhow::Result<Option<Rollout>> {
        match self {
            Self::Local(supervisor) => {
                let last = supervisor.progress().await?;
                Ok(last.filter(|rollout| rollout.id == id))
            }
            Self::Compose(_) => Ok(None),
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(_) => Ok(None),
        }
    }

    /// Follows the replicas: without polling where somebody tells of changes.
    pub async fn watch(&self) -> anyhow::Result<Watch> {
        Ok(match self {
            Self::Local(supervisor) => Watch::Told(supervisor.watch().await?),
            Self::Compose(containers) => Watch::Looks(containers.follow()),
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(cluster) => Watch::Pods(Box::new(cluster.watch().await?)),
        })
    }

    /// Does what takes the place of a replica have another name?
    pub fn renames(&self) -> bool {
        match self {
            Self::Local(_) | Self::Compose(_) => false,
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(_) => true,
        }
    }
}

/// The replicas as they change.
pub enum Watch {
    Told(control::Watch),
    Looks(Followed),
    #[cfg(feature = "kubernetes")]
    Pods(Box<cluster::Watch>),
}

impl Watch {
    /// All replicas, at once and then after each change. Dropping the future loses nothing.
    pub async fn next(&mut self) -> anyhow::Result<Vec<Replica>> {
        match self {
            Self::Told(watch) => Ok(watch.next().await?.into_iter().map(Replica::from).collect()),
            Self::Looks(followed) => followed.next().await,
            #[cfg(feature = "kubernetes")]
            Self::Pods(watch) => watch.next().await,
        }
    }
}

/// Where there are no zones, half of each service's replicas stand for one.
fn zone(number: u16) -> String {
    let zone = if number.is_multiple_of(2) { "b" } else { "a" };
    zone.to_owned()
}

impl From<control::Replica> for Replica {
    fn from(replica: control::Replica) -> Self {
        let of = |url: &str| url.trim_start_matches("http://").to_owned();
        Self {
            name: replica.name,
            service: replica.service,
            state: match replica.state {
                control::State::Ready => State::Ready,
                control::State::Starting => State::Starting,
                control::State::Stopping => State::Draining,
                control::State::Backoff => State::Down,
            },
            life: replica.started_at.to_rfc3339(),
            started_at: replica.pid.map(|_| replica.started_at),
            restarts: replica.restarts,
            address: of(&replica.api),
            ops: of(&replica.ops),
            zone: zone(replica.replica),
        }
    }
}
