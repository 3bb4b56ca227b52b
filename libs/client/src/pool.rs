//! The connections to one endpoint that wait for their next call.
use crate::{
    Settings,
    connection::{Connection, Failure, Interrupted},
    room::Room,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::time::{self, Instant};

/// Keep-alive connections to one address. How many there are is bounded by the calls in flight,
/// which the endpoint bounds.
pub(crate) struct Pool {
    address: SocketAddr,
    connect_timeout: Duration,
    idle_timeout: Duration,
    room: Arc<Room>,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The longest unused first; the last one is taken first, so that a surplus gets old.
    connections: Vec<(Instant, Box<Connection>)>,
    reaping: bool,
}

impl Pool {
    pub(crate) fn new(address: SocketAddr, settings: &Settings, room: Arc<Room>) -> Arc<Self> {
        Arc::new(Self {
            address,
            connect_timeout: settings.call_connect_timeout,
            idle_timeout: settings.call_idle_timeout,
            room,
            idle: Mutex::default(),
        })
    }

    /// Sends a request over an idle connection, else over a new one.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, Failure> {
        loop {
            let (mut connection, used) = match self.take() {
                Some(connection) => (connection, true),
                None => (
                    Connection::open(self.address, self.connect_timeout).await?,
                    false,
                ),
            };
            match connection.exchange(request, &self.room).await {
                Ok(response) => {
                    self.put_back(connection);
                    return Ok(response);
                }
                // The server closed it while it was idle: no failure of anybody.
                Err(Interrupted::Unsent(unsent)) if used => request = *unsent,
                Err(Interrupted::Unsent(_)) => return Err(Failure::Unsent),
                Err(Interrupted::BeforeAnswer(error)) => {
                    return Err(Failure::Broken { error, stale: used });
                }
                Err(Interrupted::InAnswer(error)) => {
                    return Err(Failure::Broken {
                        error,
                        stale: false,
                    });
                }
                Err(Interrupted::TooLarge) => return Err(Failure::TooLarge),
                Err(Interrupted::Full) => return Err(Failure::Full),
            }
        }
    }

    fn take(&self) -> Option<Box<Connection>> {
        let mut idle = self.idle();
        let (since, connection) = idle.connections.pop()?;
        if since.elapsed() < self.idle_timeout {
            return Some(connection);
        }
        // All others are older still.
        idle.connections.clear();
        None
    }

    fn put_back(self: &Arc<Self>, mut connection: Box<Connection>) {
        if !connection.is_reusable() {
            return;
        }
        let mut idle = self.idle();
        idle.connections.push((Instant::now(), connection));
        if !idle.reaping {
            idle.reaping = true;
            tokio::spawn(reap(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// Closes what has been idle for too long; true when nothing is left.
    fn close_old(&self) -> bool {
        let mut idle = self.idle();
        let fresh = |(since, _): &(Instant, Box<Connection>)| since.elapsed() < self.idle_timeout;
        idle.connections.retain(fresh);
        idle.reaping = !idle.connections.is_empty();
        !idle.reaping
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs as long as there are idle connections: a quiet process has no timer.
async fn reap(pool: Weak<Pool>, idle_timeout: Duration) {
    loop {
        time::sleep(idle_timeout).await;
        if pool.upgrade().is_none_or(|pool| pool.close_old()) {
            return;
        }
    }
}
