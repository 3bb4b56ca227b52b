//! When to look into the file again: nothing tells one process what another wrote.
use std::time::Duration;
use tokio::time::sleep;

const BUSY: Duration = Duration::from_millis(10);
const IDLE: Duration = Duration::from_millis(250);

/// Often after there was something to do, seldom after a while without.
pub(crate) struct Listener {
    pause: Duration,
}

impl Listener {
    pub fn new() -> Self {
        Self { pause: BUSY }
    }

    /// There was work, so there may soon be more.
    pub fn found_work(&mut self) {
        self.pause = BUSY;
    }

    /// Waits until it is worth looking again, but no longer than `at_most`.
    pub async fn wait(&mut self, at_most: Duration) {
        sleep(self.pause.min(at_most)).await;
        self.pause = (self.pause * 2).min(IDLE);
    }
}
