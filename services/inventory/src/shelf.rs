//! Product reads that survive an outage of the database: the last good answer, marked with its age.
use contracts::product::Product;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Older copies are worse than an error.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Pages and products remembered; a catalogue larger than this is remembered in part.
const MAX_ENTRIES: usize = 1024;

/// Remembers what was last read, by what was asked for.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Mutex<Copies>>);

type Copies = HashMap<String, (Instant, Vec<Product>)>;

impl Shelf {
    pub fn remember(&self, asked: &str, products: &[Product]) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() < MAX_ENTRIES || entries.contains_key(asked) {
            entries.insert(asked.to_owned(), (Instant::now(), products.to_vec()));
        }
    }

    /// The last answer and its age, unless it is too old.
    pub fn recall(&self, asked: &str) -> Option<(Duration, Vec<Product>)> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, products) = entries.get(asked)?;
        let age = read_at.elapsed();
        (age <= MAX_AGE).then(|| (age, products.clone()))
    }
}
