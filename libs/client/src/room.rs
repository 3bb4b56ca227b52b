//! Memory for large answers. Those of one upstream share it until they have been passed on, so that clients
//! who read slowly, or not at all, can't fill the process.
use crate::{Settings, connection::Interrupted};
use bytes::Bytes;
use hyper::body::SizeHint;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Answers up to this size need no permission; bytes.
const SMALL: usize = 64 << 10;
/// What a permit of the semaphore stands for, bytes.
const UNIT: usize = 1 << 10;
/// Longest wait for others to be passed on.
const PATIENCE: Duration = Duration::from_millis(250);

pub(crate) struct Room {
    largest: usize,
    free: Arc<Semaphore>,
}

/// A place for one answer.
pub(crate) struct Place {
    /// Most bytes that it may have.
    pub(crate) size: usize,
    permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new(settings: &Settings) -> Arc<Self> {
        // The largest answer must fit.
        let all = settings
            .call_answer_memory_bytes
            .max(settings.call_max_response_bytes);
        Arc::new(Self {
            largest: settings.call_max_response_bytes,
            free: Arc::new(Semaphore::new(all.div_ceil(UNIT))),
        })
    }

    /// For an answer of that size, before it is read.
    pub(crate) async fn take(&self, hint: &SizeHint) -> Result<Place, Interrupted> {
        let known = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        if known(hint.lower()) > self.largest {
            return Err(Interrupted::TooLarge);
        }
        // One that doesn't tell its size may get as large as any.
        let size = hint.upper().map_or(self.largest, known).min(self.largest);
        let permit = match size <= SMALL {
            true => None,
            false => {
                let units = u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX);
                let permit = self.free.clone().acquire_many_owned(units);
                match timeout(PATIENCE, permit).await {
                    Ok(Ok(permit)) => Some(permit),
                    Ok(Err(_)) | Err(_) => return Err(Interrupted::Full),
                }
            }
        };
        Ok(Place { size, permit })
    }
}

impl Place {
    /// The answer; its place is free again when the last copy of it is gone.
    pub(crate) fn fill(self, bytes: Bytes) -> Bytes {
        match self.permit {
            Some(permit) => Bytes::from_owner(Held {
                bytes,
                _permit: permit,
            }),
            None => bytes,
        }
    }
}

struct Held {
    bytes: Bytes,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
