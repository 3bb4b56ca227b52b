//! Reading pictures, those asked for often from memory.
use crate::{
    error::Result,
    picture::{Id, Size},
    store::Store,
};
use bytes::Bytes;
use object_store::GetResult;
use quick_cache::{Weighter, sync::Cache};
use std::{ops::Range, sync::Arc};

/// Larger pictures are streamed from the store each time. A rendition of 800 pixels is smaller.
const CACHED: u64 = 512 << 10;
/// About how many pictures fit; only a start.
const TYPICAL: u64 = 64 << 10;

/// What is read of a picture.
pub enum Found {
    Cached(Bytes),
    Stored(GetResult),
}

impl Found {
    /// Size of the whole picture.
    pub fn len(&self) -> u64 {
        match self {
            Self::Cached(bytes) => bytes.len() as u64,
            Self::Stored(stored) => stored.meta.size,
        }
    }
}

#[derive(Clone)]
pub struct Shelf {
    store: Store,
    cache: Arc<Cache<(Id, Size), Bytes, Weight>>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<(Id, Size), Bytes> for Weight {
    fn weight(&self, _: &(Id, Size), bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}

impl Shelf {
    pub fn new(store: Store, bytes: u64) -> Self {
        let items = usize::try_from(bytes / TYPICAL)
            .unwrap_or(usize::MAX)
            .max(16);
        Self {
            store,
            cache: Arc::new(Cache::with_weighter(items, bytes, Weight)),
        }
    }

    /// The picture, ready to be read from its first byte.
    pub async fn find(&self, id: Id, size: Size) -> Result<Found> {
        if let Some(bytes) = self.cache.get(&(id, size)) {
            return Ok(Found::Cached(bytes));
        }
        let stored = self.store.get(id, size, None).await?;
        if stored.meta.size > CACHED {
            return Ok(Found::Stored(stored));
        }
        let bytes = stored.bytes().await?;
        self.cache.insert((id, size), bytes.clone());
        Ok(Found::Cached(bytes))
    }

    /// A part of a picture that was found.
    pub async fn part(&self, id: Id, size: Size, found: Found, range: Range<u64>) -> Result<Found> {
        match found {
            Found::Cached(bytes) => {
                let at = |offset| usize::try_from(offset).expect("it is in memory");
                Ok(Found::Cached(bytes.slice(at(range.start)..at(range.end))))
            }
            Found::Stored(_) => Ok(Found::Stored(self.store.get(id, size, Some(range)).await?)),
        }
    }
}
