//! What the client knows about each of its orders: the ledger that the audit holds against
//! what is stored.
use super::plan::Key;
use std::collections::HashMap;

/// Bytes of an order's UUID.
pub type Id = [u8; 16];

/// What the platform acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    pub id: Id,
    /// Place in the catalogue.
    pub product: u32,
    pub quantity: u32,
    pub total_minor: i64,
    /// ISO 4217 letters.
    pub currency: [u8; 3],
}

/// How a request ended, in the three classes of Jepsen's histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Acknowledged: it must be stored, once, as acknowledged.
    Ok(Acknowledged),
    /// Definitely refused: nothing may be stored.
    Fail,
    /// Unknown, as after a broken connection or a 5xx: stored once or not at all.
    Info,
}

/// One run's fates, by place in its plan.
#[derive(Debug, Clone)]
pub struct Ledger {
    run: u32,
    fates: Vec<Option<Fate>>,
}

impl Ledger {
    /// For a plan of `steps` steps; those that are no orders, or never sent, stay without fate.
    pub fn new(run: u32, steps: usize) -> Self {
        let fates = vec![None; steps];
        Self { run, fates }
    }

    pub fn record(&mut self, n: u32, fate: Fate) {
        self.fates[n as usize] = Some(fate);
    }

    /// The fate of `key`; none for another run's keys and for orders never sent.
    pub fn fate(&self, key: Key) -> Option<Fate> {
        let fate = self.fates.get(key.n as usize)?;
        fate.filter(|_| key.run == self.run)
    }

    /// Every order that was acknowledged.
    pub fn acknowledged(&self) -> impl Iterator<Item = (Key, Acknowledged)> {
        let run = self.run;
        (0..)
            .zip(&self.fates)
            .filter_map(move |(n, fate)| match fate {
                Some(Fate::Ok(ack)) => Some((Key { run, n }, *ack)),
                _ => None,
            })
    }

    /// How many ended ok, fail and info.
    pub fn counts(&self) -> (u64, u64, u64) {
        let mut counts = (0, 0, 0);
        for fate in self.fates.iter().flatten() {
            match fate {
                Fate::Ok(_) => counts.0 += 1,
                Fate::Fail => counts.1 += 1,
                Fate::Info => counts.2 += 1,
            }
        }
        counts
    }
}

/// Numbers for product ids, so that an order costs few bytes.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    ids: Vec<String>,
    places: HashMap<String, u32>,
}

impl Catalogue {
    /// The number of `id`, a new one for an id not seen before.
    pub fn place(&mut self, id: &str) -> u32 {
        if let Some(place) = self.places.get(id) {
            return *place;
        }
        let place = u32::try_from(self.ids.len()).expect("fewer products than 2^32");
        self.ids.push(id.to_owned());
        self.places.insert(id.to_owned(), place);
        place
    }

    pub fn id(&self, place: u32) -> &str {
        &self.ids[place as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACK: Acknowledged = Acknowledged {
        id: [7; 16],
        product: 0,
        quantity: 1,
        total_minor: 500,
        currency: *b"EUR",
    };

    #[test]
    fn a_ledger_tells_the_fate_of_its_own_keys_only() {
        let mut ledger = Ledger::new(1, 3);
        ledger.record(0, Fate::Ok(ACK));
        ledger.record(1, Fate::Info);
        let fate = |run, n| ledger.fate(Key { run, n });
        assert_eq!(fate(1, 0), Some(Fate::Ok(ACK)));
        assert_eq!(fate(1, 1), Some(Fate::Info));
        assert_eq!(fate(1, 2), None, "never sent");
        assert_eq!(fate(1, 3), None, "not in the plan");
        assert_eq!(fate(2, 0), None, "another run's");
    }

    #[test]
    fn fates_are_counted_by_class() {
        let mut ledger = Ledger::new(1, 6);
        ledger.record(0, Fate::Ok(ACK));
        ledger.record(2, Fate::Ok(ACK));
        ledger.record(3, Fate::Fail);
        ledger.record(5, Fate::Info);
        assert_eq!(ledger.counts(), (2, 1, 1));
        let keys: Vec<_> = ledger.acknowledged().map(|(key, _)| key.n).collect();
        assert_eq!(keys, [0, 2]);
    }

    #[test]
    fn a_product_keeps_its_number() {
        let mut catalogue = Catalogue::default();
        assert_eq!(catalogue.place("A"), 0);
        assert_eq!(catalogue.place("B"), 1);
        assert_eq!(catalogue.place("A"), 0);
        assert_eq!(catalogue.id(1), "B");
    }
}
