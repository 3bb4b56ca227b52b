//! Where pictures are developed: off the thread of the requests, within one budget of memory.
use crate::{
    decode::Header,
    error::{Error, Result},
    picture::Picture,
};
use bytes::Bytes;
use std::{
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

/// What all pictures together may take at a time, in MiB: one of 40 megapixels, or a few phone pictures.
const BUDGET: u32 = 144;
/// A caller waits no longer, its turn included.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Darkroom {
    budget: Arc<Semaphore>,
    /// The least a picture is charged, so that there are never more at a time than processors.
    least: u32,
}

impl Darkroom {
    pub fn new() -> Self {
        let cores = available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(BUDGET));
        Self {
            budget: Arc::new(Semaphore::new(BUDGET as usize)),
            least: (BUDGET / cores).max(1),
        }
    }

    /// Turns an upload into a picture of ours; also tells how long that took, the wait for its turn
    /// left out.
    ///
    /// # Errors
    /// When it is no picture we take, or there was no turn for it in time.
    pub async fn develop(&self, upload: Bytes) -> Result<(Picture, Duration)> {
        let mebibytes = Header::read(&upload)?.cost.div_ceil(1 << 20);
        let mebibytes = u32::try_from(mebibytes).unwrap_or(u32::MAX);
        if mebibytes > BUDGET {
            return Err(Error::TooManyPixels);
        }
        let work = async {
            let charge = mebibytes.max(self.least);
            let charge = self.budget.clone().acquire_many_owned(charge).await;
            let charge = charge.map_err(|_| Error::Busy)?;
            let work = spawn_blocking(move || {
                // Work can't be called off half way: who gives up leaves the charge to it.
                let _charge = charge;
                let started = Instant::now();
                let picture = Picture::new(&Header::read(&upload)?.decode()?)?;
                Ok((picture, started.elapsed()))
            });
            // A panic is a decoder's, and its picture is to blame.
            work.await.unwrap_or(Err(Error::Broken))
        };
        timeout(LIMIT, work).await.unwrap_or(Err(Error::Busy))
    }
}
