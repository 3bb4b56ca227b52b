//! The two backends behind one set of calls. What they promise is written at [`crate::Queue`] and
//! in `claim.rs`; this file only picks one.
use crate::{
    Error, Job, NewJob, Options, Pushed, State, Stats,
    claim::{Claim, Rescue, Settlement},
    job::Position,
    redis::{self, Redis},
    sqlite::{self, Sqlite},
};
use gate::Gate;
use std::{collections::HashSet, io, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

#[derive(Clone)]
pub(crate) struct Backend {
    kind: Kind,
    gate: Gate,
}

#[derive(Clone)]
enum Kind {
    Sqlite(Sqlite),
    Redis(Redis),
}

impl Backend {
    pub async fn open(url: &str) -> Result<Self, Error> {
        let kind = if url.starts_with("sqlite:") {
            Kind::Sqlite(Sqlite::open(url).await?)
        } else if url.starts_with("redis://") {
            let redis = Redis::open(url)?;
            redis.check().await?;
            Kind::Redis(redis)
        } else {
            return Err(Error::Url);
        };
        let gate = Gate::default();
        Ok(Self { kind, gate })
    }

    /// The same one behind a gate.
    pub fn behind(self, gate: &Gate) -> Self {
        let gate = gate.clone();
        match &self.kind {
            Kind::Sqlite(b) => {
                let b = b.clone();
                gate.on_cut(move || b.cut());
            }
            Kind::Redis(b) => gate.on_cut(b.cutter()),
        }
        Self { gate, ..self }
    }

    /// The one way to the backend.
    async fn pass(&self) -> Result<&Kind, Error> {
        match (self.gate.pass().await, &self.kind) {
            (Ok(()), kind) => Ok(kind),
            (Err(shut), Kind::Sqlite(_)) => Err(Error::Sqlite(io::Error::from(shut).into())),
            (Err(shut), Kind::Redis(_)) => Err(Error::Redis(io::Error::from(shut).into())),
        }
    }

    pub async fn ping(&self) -> Result<(), Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.ping().await,
            Kind::Redis(b) => b.ping().await,
        }
    }

    pub async fn close(&self) {
        match &self.kind {
            Kind::Sqlite(b) => b.close().await,
            // Its connections end with the last clone.
            Kind::Redis(_) => {}
        }
    }

    pub async fn push(
        &self,
        queue: &str,
        jobs: &[NewJob],
        options: &Options,
    ) -> Result<Vec<Pushed>, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.push(queue, jobs, options).await,
            Kind::Redis(b) => b.push(queue, jobs, options).await,
        }
    }

    pub async fn job(&self, queue: &str, id: Uuid) -> Result<Option<Job>, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.job(queue, id).await,
            Kind::Redis(b) => b.job(queue, id).await,
        }
    }

    pub async fn jobs(
        &self,
        queue: &str,
        state: State,
        after: &Position,
        limit: usize,
    ) -> Result<Vec<(Position, Job)>, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.jobs(queue, state, after, limit).await,
            Kind::Redis(b) => b.jobs(queue, state, after, limit).await,
        }
    }

    pub async fn stats(&self, queue: &str) -> Result<Stats, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.stats(queue).await,
            Kind::Redis(b) => b.stats(queue).await,
        }
    }

    pub async fn retry(&self, queue: &str, id: Uuid) -> Result<(), Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.retry(queue, id).await,
            Kind::Redis(b) => b.retry(queue, id).await,
        }
    }

    pub async fn retry_dead(&self, queue: &str) -> Result<u64, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.retry_dead(queue).await,
            Kind::Redis(b) => b.retry_dead(queue).await,
        }
    }

    pub async fn trim(&self, queue: &str, options: &Options) -> Result<u64, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.trim(queue, options).await,
            Kind::Redis(b) => b.trim(queue, options).await,
        }
    }

    pub async fn claim(
        &self,
        queue: &str,
        limit: usize,
        token: i64,
        lease: Duration,
    ) -> Result<Claim, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.claim(queue, limit, token, lease).await,
            Kind::Redis(b) => b.claim(queue, limit, token, lease).await,
        }
    }

    pub async fn renew(
        &self,
        queue: &str,
        claims: &[(Uuid, i64)],
        lease: Duration,
    ) -> Result<HashSet<Uuid>, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.renew(queue, claims, lease).await,
            Kind::Redis(b) => b.renew(queue, claims, lease).await,
        }
    }

    pub async fn settle(&self, queue: &str, settlements: &[Settlement]) -> Result<usize, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.settle(queue, settlements).await,
            Kind::Redis(b) => b.settle(queue, settlements).await,
        }
    }

    pub async fn rescue(
        &self,
        queue: &str,
        judge: bool,
        in_time: Instant,
        options: &Options,
    ) -> Result<Rescue, Error> {
        match self.pass().await? {
            Kind::Sqlite(b) => b.rescue(queue, judge, in_time, options).await,
            Kind::Redis(b) => b.rescue(queue, judge, in_time, options).await,
        }
    }

    pub fn listen(&self, queue: &str) -> Listener {
        match &self.kind {
            Kind::Sqlite(b) => Listener::Sqlite(b.listen()),
            Kind::Redis(b) => {
                let listener = b.listen(queue);
                self.gate.on_cut(listener.cutter());
                Listener::Redis(listener)
            }
        }
    }
}

/// How a consumer that found nothing learns that there is something.
pub(crate) enum Listener {
    Sqlite(sqlite::Listener),
    Redis(redis::Listener),
}

impl Listener {
    /// Returns when it is worth claiming again, after `at_most` in any case. A wait that is given
    /// up loses nothing.
    pub async fn wait(&mut self, at_most: Duration) {
        match self {
            Self::Sqlite(l) => l.wait(at_most).await,
            Self::Redis(l) => l.wait(at_most).await,
        }
    }
}
