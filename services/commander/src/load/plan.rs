//! What a run sends, settled by its seed before it starts.
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Names one order of one run: its idempotency key, and the buyer's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Drawn anew for each run, so that no run repeats another's keys.
    pub run: u32,
    /// Place in the plan.
    pub n: u32,
}

impl Key {
    /// A mail address of this order alone, so that its mails can be counted.
    pub fn email(self) -> String {
        format!("bench+{:08x}.{}@example.com", self.run, self.n)
    }

    /// The key whose address this is; none for any other address.
    pub fn from_email(email: &str) -> Option<Self> {
        let local = email.strip_prefix("bench+")?.strip_suffix("@example.com")?;
        let (run, n) = local.split_once('.')?;
        let run = u32::from_str_radix(run, 16).ok()?;
        Some(Self {
            run,
            n: n.parse().ok()?,
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bench-{:08x}-{}", self.run, self.n)
    }
}

/// One request; the number is the product's place in the plan's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Order(u32),
    Read(u32),
    Image,
    Job,
}

/// What a load is made of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Orders, with reads of products among them.
    Orders,
    /// Reads of products.
    Products,
    /// Uploads of a picture.
    Images,
    /// Background jobs that do nothing.
    Jobs,
}

/// Every request of a run, in order.
#[derive(Debug)]
pub struct Plan {
    pub run: u32,
    /// Ids of the products that are ordered.
    pub products: Vec<String>,
    pub steps: Vec<Step>,
}

impl Plan {
    /// `orders` orders with reads strewn among them, so that reads make up `mix` of all.
    pub fn new(run: u32, seed: u64, products: Vec<String>, orders: u32, mix: f64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut steps = Vec::with_capacity(orders as usize);
        let mut ordered = 0;
        let count = u32::try_from(products.len()).expect("fewer products than 2^32");
        while ordered < orders {
            let product = rng.random_range(0..count);
            if mix > 0.0 && rng.random_bool(mix) {
                steps.push(Step::Read(product));
            } else {
                steps.push(Step::Order(product));
                ordered += 1;
            }
        }
        Self {
            run,
            products,
            steps,
        }
    }

    /// `count` requests of one kind; `mix` is the share of reads among orders.
    pub fn of(
        kind: Kind,
        run: u32,
        seed: u64,
        products: Vec<String>,
        count: usize,
        mix: f64,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let many = u32::try_from(products.len()).expect("fewer products than 2^32");
        let step = |_| match kind {
            Kind::Orders if mix > 0.0 && rng.random_bool(mix) => {
                Step::Read(rng.random_range(0..many))
            }
            Kind::Orders => Step::Order(rng.random_range(0..many)),
            Kind::Products => Step::Read(rng.random_range(0..many)),
            Kind::Images => Step::Image,
            Kind::Jobs => Step::Job,
        };
        Self {
            run,
            steps: (0..count).map(step).collect(),
            products,
        }
    }

    /// Pieces that each product has to have in stock.
    pub fn demand(&self) -> Vec<u64> {
        let mut demand = vec![0; self.products.len()];
        for step in &self.steps {
            if let Step::Order(product) = step {
                demand[*product as usize] += 1;
            }
        }
        demand
    }

    pub fn key(&self, n: u32) -> Key {
        Key { run: self.run, n }
    }

    /// Steps needed until `orders` orders are sent.
    pub fn reach(&self, orders: u32) -> usize {
        let is_order = |step: &Step| matches!(step, Step::Order(_));
        let mut places = (1..).zip(&self.steps).filter(|(_, step)| is_order(step));
        match orders {
            0 => 0,
            n => places
                .nth(n as usize - 1)
                .map_or(self.steps.len(), |(end, _)| end),
        }
    }
}

/// A number for whoever gave no seed. At most 2^53, so that JSON readers keep it whole.
pub fn draw_seed() -> u64 {
    rand::rng().next_u64() >> 11
}

/// Names this run.
pub fn draw_run() -> u32 {
    rand::rng().next_u32()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64, mix: f64) -> Plan {
        Plan::new(1, seed, vec!["A".into(), "B".into(), "C".into()], 3000, mix)
    }

    #[test]
    fn the_seed_decides_everything() {
        assert_eq!(plan(7, 0.5).steps, plan(7, 0.5).steps);
        assert_ne!(plan(7, 0.5).steps, plan(8, 0.5).steps);
    }

    #[test]
    fn orders_are_spread_over_the_products_and_reads_have_their_share() {
        let plan = plan(7, 0.25);
        let demand = plan.demand();
        assert_eq!(demand.iter().sum::<u64>(), 3000);
        assert!(
            demand.iter().all(|&n| (900..1100).contains(&n)),
            "{demand:?}"
        );
        let reads = plan.steps.len() - 3000;
        assert!(
            (900..1100).contains(&reads),
            "{reads} reads beside 3000 orders"
        );
    }

    #[test]
    fn a_part_of_the_plan_is_counted_in_orders() {
        let plan = plan(7, 0.5);
        let end = plan.reach(100);
        let orders = |steps: &[Step]| steps.iter().filter(|s| matches!(s, Step::Order(_))).count();
        assert_eq!(orders(&plan.steps[..end]), 100);
        assert_eq!(orders(&plan.steps[..end - 1]), 99);
        assert_eq!((plan.reach(0), plan.reach(9999)), (0, plan.steps.len()));
    }

    #[test]
    fn a_key_is_found_again_in_its_address_and_in_no_other() {
        let key = Key { run: 0xbeef, n: 17 };
        assert_eq!(Key::from_email(&key.email()), Some(key));
        for other in [
            "a@example.com",
            "bench+1@example.com",
            "b***@example.com",
            "bench+0000beef.x@example.com",
            "bench+0000beef.17@example.org",
        ] {
            assert_eq!(Key::from_email(other), None, "{other}");
        }
    }
}
