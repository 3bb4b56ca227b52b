//! What happens in one schedule: settled by its seed before it starts. No IO.
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use std::{fmt, time::Duration};

/// The services that orders pass; they get most of the faults.
const ORDER_FLOW: [&str; 4] = ["gateway", "order", "inventory", "notification"];
const OTHERS: [&str; 4] = ["auth", "image", "worker", "commander"];
/// The time within which buyers act and faults happen, milliseconds.
const SPAN: u64 = 1200;
/// The longest freeze; the supervisor would replace a replica frozen for longer.
const LONGEST_FREEZE: f64 = 5000.0;

/// What buyers do, and what breaks meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub seed: u64,
    /// Pieces of each product at the start.
    pub stock: Vec<i64>,
    /// What each key asks for.
    pub orders: Vec<Asked>,
    /// What each buyer does, one after the other.
    pub buyers: Vec<Vec<Step>>,
    pub faults: Vec<Fault>,
}

/// The content of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub product: usize,
    pub quantity: i64,
    /// Sent with a key; else once, since nobody could tell a repeat from another order.
    pub keyed: bool,
}

/// One request, so long after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub pause: u64,
    pub what: What,
}

/// Numbers are places in [`Schedule::orders`] or of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Also again, by the same buyer or another one.
    Order(usize),
    /// One piece more under the same key: refused, if the other was first.
    Otherwise(usize),
    Cancel(usize),
    Read(usize),
    Restock(usize, i64),
}

/// Something that breaks, so many milliseconds after the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub at: u64,
    pub service: &'static str,
    pub kind: Kind,
}

/// How it breaks; numbers are replicas.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Kill(u16),
    Drain(u16),
    /// For so many milliseconds.
    Freeze(u16, u64),
    KillAll,
    /// The next process of the service that passes this place.
    #[cfg_attr(
        not(feature = "crash-points"),
        expect(dead_code, reason = "nothing to pass in this build")
    )]
    Abort(&'static str),
}

impl Schedule {
    /// The schedule of this seed, for services of so many replicas.
    pub fn new(seed: u64, replicas: u16) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let products = random.random_range(1..=3);
        let mut schedule = Self {
            seed,
            stock: (0..products).map(|_| random.random_range(3..=25)).collect(),
            orders: Vec::new(),
            buyers: vec![Vec::new(); random.random_range(3..=6)],
            faults: Vec::new(),
        };
        for _ in 0..random.random_range(20..=60) {
            let buyer = random.random_range(0..schedule.buyers.len());
            let what = schedule.draw(&mut random);
            let pause = random.random_range(0..=2 * SPAN / 12);
            schedule.buyers[buyer].push(Step { pause, what });
        }
        for _ in 0..random.random_range(1..=4) {
            let fault = fault(&mut random, replicas);
            schedule.faults.push(fault);
        }
        schedule.faults.sort_by_key(|fault| fault.at);
        schedule
    }

    fn draw(&mut self, random: &mut StdRng) -> What {
        let dice = random.random_range(0..100);
        if self.orders.is_empty() || dice < 45 {
            self.orders.push(Asked {
                product: random.random_range(0..self.stock.len()),
                quantity: random.random_range(1..=3),
                keyed: random.random_bool(0.8),
            });
            return What::Order(self.orders.len() - 1);
        }
        let order = random.random_range(0..self.orders.len());
        let keyed = self.orders[order].keyed;
        match dice {
            45..65 if keyed => What::Order(order),
            65..70 if keyed => What::Otherwise(order),
            45..85 => What::Cancel(order),
            85..93 => What::Read(order),
            _ => {
                let product = random.random_range(0..self.stock.len());
                What::Restock(product, random.random_range(0..=25))
            }
        }
    }

    /// Whether one replica behind the gateway goes, and nothing else.
    pub fn lone_kill(&self) -> Option<&'static str> {
        match &self.faults[..] {
            [only] if only.service != "gateway" => {
                matches!(only.kind, Kind::Kill(_) | Kind::Drain(_)).then_some(only.service)
            }
            _ => None,
        }
    }
}

fn fault(random: &mut StdRng, replicas: u16) -> Fault {
    let services = match random.random_bool(0.9) {
        true => &ORDER_FLOW,
        false => &OTHERS,
    };
    let service = *services.choose(random).expect("not empty");
    let replica = random.random_range(1..=replicas);
    let freeze = random.random::<f64>().powi(3) * LONGEST_FREEZE;
    let kind = match random.random_range(0..10) {
        0..4 => Kind::Kill(replica),
        4 => Kind::Drain(replica),
        5..7 => Kind::Freeze(replica, freeze as u64),
        7 => Kind::KillAll,
        _ => abort(service, random).unwrap_or(Kind::Kill(replica)),
    };
    let at = random.random_range(0..SPAN);
    Fault { at, service, kind }
}

/// At a place which that service passes while it works.
#[cfg(feature = "crash-points")]
fn abort(service: &str, random: &mut StdRng) -> Option<Kind> {
    let places: Vec<&'static str> = sabotage::POINTS
        .iter()
        .filter(|(of, place)| *of == service && !place.starts_with("db."))
        .map(|(_, place)| *place)
        .chain(consumes(service))
        .collect();
    places.choose(random).copied().map(Kind::Abort)
}

/// Consumers of events pass the places of the queue, too.
#[cfg(feature = "crash-points")]
fn consumes(service: &str) -> impl Iterator<Item = &'static str> {
    let consumer = ["inventory", "notification"].contains(&service);
    let places = [
        "queue.claimed",
        "queue.started",
        "queue.handled",
        "queue.settled",
    ];
    places.into_iter().filter(move |_| consumer)
}

#[cfg(not(feature = "crash-points"))]
fn abort(_: &str, _: &mut StdRng) -> Option<Kind> {
    None
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "schedule {}: stock {:?}", self.seed, self.stock)?;
        for (n, asked) in self.orders.iter().enumerate() {
            let key = if asked.keyed { "" } else { ", without a key" };
            let Asked {
                product, quantity, ..
            } = asked;
            writeln!(f, "  order {n}: {quantity} of product {product}{key}")?;
        }
        for (n, steps) in self.buyers.iter().enumerate() {
            let steps = steps.iter().map(|s| format!("+{} {:?}", s.pause, s.what));
            let steps: Vec<_> = steps.collect();
            writeln!(f, "  buyer {n}: {}", steps.join(", "))?;
        }
        for Fault { at, service, kind } in &self.faults {
            writeln!(f, "  at {at} ms {service}: {kind:?}")?;
        }
        Ok(())
    }
}

impl Step {
    pub fn wait(self) -> Duration {
        Duration::from_millis(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_everything() {
        assert_eq!(Schedule::new(7, 2), Schedule::new(7, 2));
        assert_ne!(Schedule::new(7, 2), Schedule::new(8, 2));
    }

    #[test]
    fn all_kinds_of_steps_and_faults_come() {
        let all: String = (0..200)
            .map(|seed| Schedule::new(seed, 2).to_string())
            .collect();
        for word in [
            "Order(",
            "Otherwise(",
            "Cancel(",
            "Read(",
            "Restock(",
            "without a key",
            "Kill(",
            "Drain(",
            "Freeze(",
            "KillAll",
            "gateway",
            "order",
            "inventory",
            "notification",
            "auth",
        ] {
            assert!(all.contains(word), "{word}");
        }
        for seed in 0..200 {
            let schedule = Schedule::new(seed, 2);
            let steps: usize = schedule.buyers.iter().map(Vec::len).sum();
            assert!((20..=60).contains(&steps) && (1..=4).contains(&schedule.faults.len()));
        }
    }
}
