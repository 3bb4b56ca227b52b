//! The parts of a run: warm-up and what counts, by one path or by both in turns.
use super::args::{Load, Path};
use anyhow::ensure;

/// More would not fit into memory beside the platform.
const MOST_ORDERS: f64 = 2e7;
/// A comparison's turns. Each path is first as often as last, so that drift hits both alike.
const TURNS: [Path; 8] = {
    use Path::{Direct, Gateway};
    [
        Gateway, Direct, Direct, Gateway, Gateway, Direct, Direct, Gateway,
    ]
};

/// Orders sent one way, one after the other part of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub path: Path,
    pub orders: u32,
    /// False for the warm-up.
    pub counts: bool,
}

/// Cuts the load into its parts: the warm-up of each path, then the turns that count.
///
/// # Errors
/// When there would be no order, or too many.
pub fn slices(load: &Load) -> anyhow::Result<Vec<Slice>> {
    let counted = load.rate.map_or(load.orders.into(), |rate| {
        (rate * f64::from(load.seconds)).round()
    });
    let all = counted + f64::from(load.warmup);
    ensure!(
        (1.0..=MOST_ORDERS).contains(&counted) && all <= MOST_ORDERS,
        "a run has from 1 to {MOST_ORDERS} orders, not {all}"
    );
    let one = [load.path];
    let (warm_up, turns) = match load.compare_gateway {
        true => (&TURNS[..2], &TURNS[..]),
        false => (&one[..], &one[..]),
    };
    let mut slices = split(load.warmup, warm_up, false);
    slices.extend(split(counted as u32, turns, true));
    slices.retain(|slice| slice.orders > 0);
    Ok(slices)
}

fn split(orders: u32, paths: &[Path], counts: bool) -> Vec<Slice> {
    let parts = paths.len() as u32;
    let size = |turn: u32| (orders / parts) + u32::from(turn < orders % parts);
    let slice = |(turn, path): (u32, &Path)| Slice {
        path: *path,
        orders: size(turn),
        counts,
    };
    (0..).zip(paths).map(slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn load(warmup: u32, compare_gateway: bool) -> Load {
        Load {
            orders: 100,
            concurrency: None,
            rate: None,
            seconds: 60,
            warmup,
            seed: None,
            products: None,
            product: None,
            mix: 0.0,
            no_restock: false,
            no_retry: false,
            path: Path::Gateway,
            compare_gateway,
            timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn a_comparison_gives_both_paths_the_same_number_of_orders_and_turns() {
        let slices = slices(&load(10, true)).expect("valid");
        let orders = |path, counts| {
            let same = slices
                .iter()
                .filter(move |s| s.path == path && s.counts == counts);
            same.map(|slice| slice.orders).sum::<u32>()
        };
        assert_eq!(
            (orders(Path::Gateway, false), orders(Path::Direct, false)),
            (5, 5)
        );
        assert_eq!(
            orders(Path::Gateway, true) + orders(Path::Direct, true),
            100
        );
        assert!(orders(Path::Gateway, true).abs_diff(orders(Path::Direct, true)) <= 4);
    }

    #[test]
    fn an_open_loop_sends_rate_times_time() {
        let slices = slices(&Load {
            rate: Some(2.5),
            ..load(0, false)
        })
        .expect("valid");
        assert_eq!(
            slices,
            [Slice {
                path: Path::Gateway,
                orders: 150,
                counts: true
            }]
        );
        assert!(
            super::slices(&Load {
                rate: Some(1e6),
                ..load(0, false)
            })
            .is_err(),
            "too many"
        );
    }
}
