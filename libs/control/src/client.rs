//! Asks the supervisor.
use crate::{PATIENCE, Replica, Request, Response, Rollout, Signal, socket};
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::UnixStream,
    time::timeout,
};

/// Talks to one supervisor; connects at each call.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// For the supervisor whose data folder is `data`.
    #[must_use]
    pub fn of(data: &Path) -> Self {
        Self::at(socket(data))
    }

    /// For the supervisor that listens at `socket`.
    #[must_use]
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Every replica, in the order of the table of services.
    ///
    /// # Errors
    /// When the supervisor is away.
    pub async fn list(&self) -> anyhow::Result<Vec<Replica>> {
        replicas(self.call(&Request::List).await?)
    }

    /// Sends `signal` to replica `name` and tells the pid that got it.
    ///
    /// # Errors
    /// When the supervisor is away or refuses.
    pub async fn kill(&self, name: &str, signal: Signal) -> anyhow::Result<u32> {
        let name = name.to_owned();
        match self.call(&Request::Kill { name, signal }).await? {
            Response::Done { pid, .. } => Ok(pid),
            Response::Refused { error } => bail!(error),
            other => bail!("unexpected answer of the supervisor: {other:?}"),
        }
    }

    /// Starts to replace the replicas of `service` by new ones, which (if `broken`) never get ready.
    /// [`Client::progress`] tells of it under this `id`.
    ///
    /// # Errors
    /// When the supervisor is away or refuses.
    pub async fn roll_out(&self, id: &str, service: &str, broken: bool) -> anyhow::Result<()> {
        let (id, service) = (id.to_owned(), service.to_owned());
        let request = Request::Rollout {
            id,
            service,
            broken,
        };
        match self.call(&request).await? {
            Response::Rollout { .. } => Ok(()),
            Response::Refused { error } => bail!(error),
            other => bail!("unexpected answer of the supervisor: {other:?}"),
        }
    }

    /// The rollout that runs, or the last one of this supervisor.
    ///
    /// # Errors
    /// When the supervisor is away.
    pub async fn progress(&self) -> anyhow::Result<Option<Rollout>> {
        match self.call(&Request::Progress).await? {
            Response::Rollout { rollout } => Ok(rollout),
            other => bail!("unexpected answer of the supervisor: {other:?}"),
        }
    }

    /// Follows the replicas. While nothing changes nothing is sent either way.
    ///
    /// # Errors
    /// When the supervisor is away.
    pub async fn watch(&self) -> anyhow::Result<Watch> {
        Ok(Watch(self.ask(&Request::Watch).await?))
    }

    async fn call(&self, request: &Request) -> anyhow::Result<Response> {
        let exchange = async { answer(&mut self.ask(request).await?).await };
        let limit = timeout(PATIENCE, exchange);
        limit.await.context("the supervisor does not answer")?
    }

    async fn ask(&self, request: &Request) -> anyhow::Result<Lines<BufReader<UnixStream>>> {
        let stream = UnixStream::connect(&self.socket).await;
        let mut stream = stream.with_context(|| {
            let socket = self.socket.display();
            format!("no supervisor answers at {socket}: start it with `seawall up`")
        })?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes()).await?;
        Ok(BufReader::new(stream).lines())
    }
}

/// The replicas as they change.
#[derive(Debug)]
pub struct Watch(Lines<BufReader<UnixStream>>);

impl Watch {
    /// All replicas: at the first call as they are, then after the next change. Changes between
    /// two calls may show as one. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub async fn next(&mut self) -> anyhow::Result<Vec<Replica>> {
        replicas(answer(&mut self.0).await?)
    }
}

async fn answer(lines: &mut Lines<BufReader<UnixStream>>) -> anyhow::Result<Response> {
    let line = lines.next_line().await?;
    let line = line.context("the supervisor hung up")?;
    Ok(serde_json::from_str(&line)?)
}

fn replicas(answer: Response) -> anyhow::Result<Vec<Replica>> {
    match answer {
        Response::List { replicas } => Ok(replicas),
        other => bail!("unexpected answer of the supervisor: {other:?}"),
    }
}
