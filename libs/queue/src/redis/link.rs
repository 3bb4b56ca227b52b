//! Connections to Redis that come back by themselves, and never keep a caller waiting.
use crate::Error;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, IntoConnectionInfo,
    aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a call waits for its answer, connecting included.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// One shared connection. A call that finds it broken, or gets no answer, drops it, and the next
/// call connects anew: so even a connection that leads nowhere (its peer vanished without a word)
/// costs no more than one timeout.
#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    current: Arc<Mutex<Current>>,
}

#[derive(Default)]
struct Current {
    /// And what ends the calls on it, and it with them.
    connection: Option<(MultiplexedConnection, CancellationToken)>,
    /// Counts the connections, so that nobody drops a newer one than the one that failed.
    generation: u64,
}

impl Link {
    pub fn new(url: &str) -> Result<Self, Error> {
        // Without it, a call can wait for the acknowledgement of the one before.
        let tcp = TcpSettings::default().set_nodelay(true);
        let server = url.into_connection_info()?.set_tcp_settings(tcp);
        Ok(Self {
            client: Client::open(server)?,
            current: Arc::default(),
        })
    }

    /// Host and port of the server.
    pub fn place(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.query_within(RESPONSE_TIMEOUT, command).await
    }

    /// A call whose answer may take longer: a blocking command.
    pub async fn query_within<T: FromRedisValue>(
        &self,
        longest: Duration,
        command: &Cmd,
    ) -> Result<T, Error> {
        let mut generation = None;
        let answer = timeout(longest, async {
            let (mut connection, cut, its_generation) = self.connection().await?;
            generation = Some(its_generation);
            let answer = cut.run_until_cancelled(command.query_async(&mut connection));
            let broken = || io::Error::from(io::ErrorKind::ConnectionReset).into();
            answer.await.unwrap_or_else(|| Err(broken()))
        });
        let answer = answer.await;
        let broken = match &answer {
            Ok(Ok(_)) => false,
            Ok(Err(error)) => error.is_unrecoverable_error(),
            Err(_) => true,
        };
        if let (true, Some(generation)) = (broken, generation) {
            self.discard(generation);
        }
        Ok(answer.map_err(|_| Error::Timeout)??)
    }

    async fn connection(
        &self,
    ) -> Result<(MultiplexedConnection, CancellationToken, u64), redis::RedisError> {
        {
            let current = self.lock();
            if let Some((connection, cut)) = &current.connection {
                return Ok((connection.clone(), cut.clone(), current.generation));
            }
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(RESPONSE_TIMEOUT))
            .set_response_timeout(None);
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let cut = CancellationToken::new();
        let mut current = self.lock();
        // Of those that connected at the same time, the last one's stays.
        current.generation += 1;
        current.connection = Some((connection.clone(), cut.clone()));
        Ok((connection, cut, current.generation))
    }

    /// Cuts the present connection; false once the link is gone.
    pub fn cutter(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let link = Arc::downgrade(&self.current);
        move || {
            let Some(current) = link.upgrade() else {
                return false;
            };
            let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, cut)) = current.connection.take() {
                cut.cancel();
            }
            true
        }
    }

    fn discard(&self, generation: u64) {
        let mut current = self.lock();
        if current.generation == generation {
            current.connection = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
