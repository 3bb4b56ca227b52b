//! How replicas are seen and killed in each environment.
use crate::{
    config::{Config, Environment},
    error::{Error, Result},
    replica::{Replica, State},
};
use control::{Rollout, Signal};

/// The environment commander commands.
#[derive(Clone, Debug)]
pub enum Driver {
    /// Processes of `seawall up`, through the supervisor's socket.
    Local(control::Client),
    /// Containers. They are killed through their fault points, which don't exist yet.
    Compose,
}

impl Driver {
    pub fn new(config: &Config) -> Self {
        match config.driver {
            Environment::Local => {
                Self::Local(control::Client::at(config.supervisor_socket.clone()))
            }
            Environment::Compose => Self::Compose,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::Compose => "compose",
        }
    }

    /// All replicas, a service's beside each other; none where they can't be seen.
    pub async fn replicas(&self) -> Result<Vec<Replica>> {
        match self {
            Self::Local(supervisor) => {
                let replicas = supervisor.list().await.map_err(Error::Away)?;
                Ok(replicas.into_iter().map(Replica::from).collect())
            }
            Self::Compose => Ok(Vec::new()),
        }
    }

    /// The same, where they can be killed.
    pub async fn victims(&self) -> Result<Vec<Replica>> {
        match self {
            Self::Local(_) => self.replicas().await,
            Self::Compose => Err(Error::NotAvailableHere),
        }
    }

    /// Kills a replica without a warning (SIGKILL).
    pub async fn kill(&self, name: &str) -> Result<()> {
        match self {
            Self::Local(supervisor) => {
                let killed = supervisor.kill(name, Signal::Kill).await;
                killed.map(drop).map_err(Error::Away)
            }
            Self::Compose => Err(Error::NotAvailableHere),
        }
    }

    /// Replaces the replicas of a service one after the other; [`Driver::progress`] knows it by `id`.
    pub async fn roll_out(&self, id: &str, service: &str, broken: bool) -> Result<()> {
        match self {
            Self::Local(supervisor) => {
                let started = supervisor.roll_out(id, service, broken).await;
                started.map_err(Error::Away)
            }
            Self::Compose => Err(Error::NotAvailableHere),
        }
    }

    /// How far the rollout `id` is; None: it is not known, nor will it be.
    pub async fn progress(&self, id: &str) -> anyhow::Result<Option<Rollout>> {
        match self {
            Self::Local(supervisor) => {
                let last = supervisor.progress().await?;
                Ok(last.filter(|rollout| rollout.id == id))
            }
            Self::Compose => Ok(None),
        }
    }

    /// Follows the replicas without polling.
    pub async fn watch(&self) -> anyhow::Result<Watch> {
        Ok(match self {
            Self::Local(supervisor) => Watch(Some(supervisor.watch().await?)),
            Self::Compose => Watch(None),
        })
    }
}

/// The replicas as they change; silent where they can't be seen.
pub struct Watch(Option<control::Watch>);

impl Watch {
    /// All replicas, at once and then after each change. Dropping the future loses nothing.
    pub async fn next(&mut self) -> anyhow::Result<Vec<Replica>> {
        match &mut self.0 {
            Some(watch) => Ok(watch.next().await?.into_iter().map(Replica::from).collect()),
            None => std::future::pending().await,
        }
    }
}

impl From<control::Replica> for Replica {
    fn from(replica: control::Replica) -> Self {
        let address = replica.api.trim_start_matches("http://").to_owned();
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
            address,
        }
    }
}
