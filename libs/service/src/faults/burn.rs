//! Faults that use up the machine, on threads of their own: they end in time whatever else happens.
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// How soon a thread sees that it has to end.
const LOOK: Duration = Duration::from_millis(20);
/// Memory grows in steps of this.
const STEP: u32 = 8;
/// The answer to whoever ordered a crash is on its way by then.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Threads that waste something; dropped, they end.
#[derive(Debug)]
pub(super) struct Burn(Arc<AtomicBool>);

impl Drop for Burn {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Burn {
    pub fn cpu(threads: u32, time: Duration) -> Self {
        let burn = Self(Arc::default());
        for _ in 0..threads {
            burn.spawn(time, move |over| {
                while !over() {
                    let started = Instant::now();
                    while started.elapsed() < LOOK {
                        black_box((0..1000_u64).fold(1, u64::wrapping_mul));
                    }
                }
            });
        }
        burn
    }

    pub fn memory(megabytes: u32, time: Duration) -> Self {
        let burn = Self(Arc::default());
        burn.spawn(time, move |over| {
            let mut held = Vec::new();
            let mut left = megabytes;
            while !over() {
                let step = left.min(STEP);
                if step > 0 {
                    // Not zeros: those the kernel would not have to give.
                    held.push(vec![1_u8; (step as usize) << 20]);
                }
                left -= step;
                black_box(&held);
                thread::sleep(LOOK);
            }
        });
        burn
    }

    fn spawn(&self, time: Duration, work: impl FnOnce(&dyn Fn() -> bool) + Send + 'static) {
        let (stop, until) = (self.0.clone(), Instant::now() + time);
        let over = move || stop.load(Relaxed) || Instant::now() >= until;
        let thread = thread::Builder::new().name("fault".to_owned());
        if let Err(error) = thread.spawn(move || work(&over)) {
            tracing::warn!(%error, "no thread for a fault");
        }
    }
}

/// Aborts the process in a moment.
pub(super) fn crash() {
    thread::spawn(|| {
        thread::sleep(LAST_WORD);
        std::process::abort();
    });
}
