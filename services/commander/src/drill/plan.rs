//! What chance decides in a run, settled by its seed before it starts.
use super::{
    file::{Drill, Fault, Pick, Scope},
    ops::Replica,
    value::Text,
};
use anyhow::ensure;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// The choices of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    /// Of the load.
    pub load_seed: u64,
    /// Who is hit, in this order.
    pub victims: Vec<String>,
}

impl Plan {
    /// The same seed and the same replicas give the same plan.
    ///
    /// # Errors
    /// When there is nobody to hit.
    pub fn new(drill: &Drill, seed: u64, replicas: &[Replica]) -> anyhow::Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let load_seed = rng.random::<u64>() >> 11;
        let victims = victims(drill, replicas, &mut rng);
        let nobody =
            victims.is_empty() && !matches!(drill.fault, Fault::Flood(_) | Fault::Poison(_));
        ensure!(!nobody, "there is no replica that this drill could hit");
        Ok(Self {
            seed,
            load_seed,
            victims,
        })
    }
}

fn victims(drill: &Drill, replicas: &[Replica], rng: &mut StdRng) -> Vec<String> {
    let names = |services: &[Text]| -> Vec<String> {
        let of = |r: &&Replica| services.iter().any(|s| **s == r.service);
        let mut names: Vec<_> = replicas.iter().filter(of).map(|r| r.name.clone()).collect();
        names.sort_unstable();
        names
    };
    let draw = |names: &[String], rng: &mut StdRng| names.choose(rng).cloned();
    match &drill.fault {
        Fault::Kill(kill) => {
            let names = names(&kill.services.0);
            let times = kill.times.0 as usize;
            match kill.pick {
                Pick::Each => names,
                Pick::Any => (0..times).filter_map(|_| draw(&names, rng)).collect(),
                Pick::Same => {
                    let one = draw(&names, rng);
                    one.map_or_else(Vec::new, |one| vec![one; times])
                }
            }
        }
        Fault::Zone(zone) => {
            let inside = |name: &String| {
                let mut found = replicas.iter().filter(|r| r.name == *name);
                found.any(|r| r.zone.as_deref() == Some(&*zone.zone))
            };
            let names = names(&zone.services.0);
            names.into_iter().filter(inside).collect()
        }
        Fault::Point(point) => {
            let names = names(std::slice::from_ref(&point.service));
            match point.scope {
                Scope::All => names,
                Scope::One => draw(&names, rng).into_iter().collect(),
            }
        }
        Fault::Outage(outage) => names(&outage.services.0),
        Fault::Rollout(rollout) => names(std::slice::from_ref(&rollout.service)),
        Fault::Flood(_) | Fault::Poison(_) => Vec::new(),
    }
}
