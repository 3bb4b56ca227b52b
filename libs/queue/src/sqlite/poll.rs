//! When to look into the file again: the kernel tells when another process wrote to its
//! write-ahead log, so that an idle consumer costs nothing.
use futures::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use std::{io, path::Path, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The least time between two looks: many small writes are looked at together.
const BUSY: Duration = Duration::from_millis(20);
/// How often to look when the kernel doesn't tell; it allows each user some watches only.
const UNTOLD: Duration = Duration::from_millis(250);

/// Waits for writes to the file, by anybody.
pub(crate) struct Listener {
    writes: Option<EventStream<Vec<u8>>>,
    looked: Instant,
}

impl Listener {
    pub fn new(database: &Path) -> Self {
        let writes = watch(database).inspect_err(|error| {
            tracing::warn!(%error, "no watch on the queue's file, looking at intervals");
        });
        Self {
            writes: writes.ok(),
            looked: Instant::now(),
        }
    }

    /// Returns after something was written since the last time, but no later than `at_most`.
    pub async fn wait(&mut self, at_most: Duration) {
        match &mut self.writes {
            // Writes that come in meanwhile are one event, or a few.
            Some(writes) => drop(timeout(at_most, writes.next()).await),
            None => sleep(UNTOLD.min(at_most)).await,
        }
        sleep_until(self.looked + BUSY.min(at_most)).await;
        self.looked = Instant::now();
    }
}

fn watch(database: &Path) -> io::Result<EventStream<Vec<u8>>> {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let inotify = Inotify::init()?;
    // The log is there for as long as anybody has the file open, as we do.
    inotify.watches().add(log, WatchMask::MODIFY)?;
    inotify.into_event_stream(vec![0; 256])
}
