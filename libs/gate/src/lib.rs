//! A gate before a dependency, such as a database: whoever breaks things on purpose shuts it for a time.
//!
//! Open, as it nearly always is, it costs one relaxed load of an atomic. Every shutting ends by itself.
//!
//! ```
//! use gate::{Gate, Mode};
//! use std::time::Duration;
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let gate = Gate::default();
//! let held = gate.shut(Mode::Stopped, Duration::from_secs(30));
//! assert!(gate.pass().await.is_err());
//! drop(held);
//! assert!(gate.pass().await.is_ok());
//! # }
//! ```
use std::{
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// How often connections are cut while they are severed.
const CUT_EVERY: Duration = Duration::from_secs(1);

/// What a gate does to those who pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nobody passes, as if the server were down; connections are cut once.
    Stopped,
    /// Whoever passes waits so long before.
    Slow(Duration),
    /// Whoever passes does, but connections are cut now and every second.
    Severed,
}

/// Cheap to clone; the clones are one gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// False as long as there is nothing to look up.
    shut: AtomicBool,
    next: AtomicU64,
    shuttings: Mutex<Vec<Shutting>>,
    /// Each cuts the connections of one pool; false once there is none.
    cutters: Mutex<Vec<Cutter>>,
}

type Cutter = Box<dyn Fn() -> bool + Send + Sync>;

struct Shutting {
    number: u64,
    mode: Mode,
    until: Instant,
}

/// Nobody passes now. As an [`io::Error`] it is what a server that is down gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shut;

impl fmt::Display for Shut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped on purpose")
    }
}

impl std::error::Error for Shut {}

impl From<Shut> for io::Error {
    fn from(shut: Shut) -> Self {
        Self::new(io::ErrorKind::NotConnected, shut)
    }
}

/// Keeps a gate shut; dropped, it opens it again.
#[derive(Debug)]
pub struct Held {
    gate: Gate,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gate.0.shuttings().retain(|s| s.number != self.number);
    }
}

impl Gate {
    /// Waits as long as whoever passes has to.
    ///
    /// # Errors
    /// When nobody passes.
    pub async fn pass(&self) -> Result<(), Shut> {
        if self.is_open() {
            return Ok(());
        }
        let (stopped, slow) = self.0.present();
        if stopped {
            return Err(Shut);
        }
        if !slow.is_zero() {
            sleep(slow).await;
        }
        Ok(())
    }

    /// Does nothing hinder anybody?
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.shut.load(Relaxed)
    }

    /// Shuts it until `time` has passed or the result is dropped. Must be called within a Tokio runtime.
    #[must_use]
    pub fn shut(&self, mode: Mode, time: Duration) -> Held {
        let number = self.0.next.fetch_add(1, Relaxed);
        let until = Instant::now() + time;
        {
            let mut shuttings = self.0.shuttings();
            shuttings.push(Shutting {
                number,
                mode,
                until,
            });
            self.0.shut.store(true, Relaxed);
        }
        match mode {
            Mode::Stopped => self.0.cut(),
            Mode::Severed => drop(tokio::spawn(self.clone().sever(number, until))),
            Mode::Slow(_) => {}
        }
        Held {
            gate: self.clone(),
            number,
        }
    }

    /// Has `cutter` cut connections when it is time; it answers whether there is still anything to cut.
    pub fn on_cut(&self, cutter: impl Fn() -> bool + Send + Sync + 'static) {
        self.0.cutters().push(Box::new(cutter));
    }

    async fn sever(self, number: u64, until: Instant) {
        let mut due = Instant::now();
        while due < until && self.0.shuttings().iter().any(|s| s.number == number) {
            self.0.cut();
            due += CUT_EVERY;
            sleep_until(due.min(until)).await;
        }
    }
}

impl Inner {
    /// Forgets what is over. Is it stopped, and how long does whoever passes wait?
    fn present(&self) -> (bool, Duration) {
        let now = Instant::now();
        let mut shuttings = self.shuttings();
        shuttings.retain(|s| now < s.until);
        self.shut.store(!shuttings.is_empty(), Relaxed);
        let stopped = shuttings.iter().any(|s| s.mode == Mode::Stopped);
        let slow = shuttings.iter().filter_map(|s| match s.mode {
            Mode::Slow(time) => Some(time),
            Mode::Stopped | Mode::Severed => None,
        });
        (stopped, slow.max().unwrap_or_default())
    }

    fn cut(&self) {
        self.cutters().retain(|cut| cut());
    }

    fn shuttings(&self) -> MutexGuard<'_, Vec<Shutting>> {
        self.shuttings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn cutters(&self) -> MutexGuard<'_, Vec<Cutter>> {
        self.cutters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.is_open()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn it_opens_by_itself_and_when_let_go() {
        let gate = Gate::default();
        let held = gate.shut(Mode::Stopped, MINUTE);
        assert_eq!(gate.pass().await, Err(Shut));
        tokio::time::advance(MINUTE).await;
        assert_eq!(gate.pass().await, Ok(()));
        assert!(gate.is_open(), "it looks up what is long over");
        let other = gate.shut(Mode::Stopped, MINUTE);
        drop(held);
        assert_eq!(gate.pass().await, Err(Shut), "it let go of another");
        drop(other);
        assert_eq!(gate.pass().await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_passes_a_slow_one_waits() {
        let gate = Gate::default();
        let _longer = gate.shut(Mode::Slow(Duration::from_secs(2)), MINUTE);
        let _shorter = gate.shut(Mode::Slow(Duration::from_secs(1)), MINUTE);
        let started = Instant::now();
        gate.pass().await.expect("it is only slow");
        assert_eq!(started.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_cut_at_once_and_every_second_until_the_end() {
        let gate = Gate::default();
        let cuts = Arc::new(AtomicU32::new(0));
        let count = Arc::downgrade(&cuts);
        gate.on_cut(move || {
            count
                .upgrade()
                .is_some_and(|c| c.fetch_add(1, Relaxed) < 100)
        });
        let held = gate.shut(Mode::Severed, MINUTE);
        sleep(Duration::from_millis(2500)).await;
        assert_eq!(cuts.load(Relaxed), 3);
        drop(held);
        sleep(MINUTE).await;
        assert_eq!(cuts.load(Relaxed), 3);
        let _held = gate.shut(Mode::Severed, Duration::from_secs(2));
        sleep(MINUTE).await;
        assert_eq!(cuts.load(Relaxed), 5, "it went on after its end");
        assert!(gate.pass().await.is_ok());
        let _stopped = gate.shut(Mode::Stopped, MINUTE);
        assert_eq!(cuts.load(Relaxed), 6);
    }
}
