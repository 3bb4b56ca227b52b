//! Kills replicas while the load runs, one at a time, and takes the time until each is replaced.
use super::usage::Meter;
use control::{Client, Replica, Signal, State};
use rand::{SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_util::sync::CancellationToken;

/// How exactly the time until a replacement is ready is known.
const LOOK: Duration = Duration::from_millis(10);
/// A replica that isn't back after this is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to kill, and when.
#[derive(Debug, Clone)]
pub struct Spree {
    pub every: Duration,
    /// Any service when none.
    pub service: Option<String>,
    pub signal: Signal,
    pub seed: u64,
}

/// One kill.
#[derive(Debug, Clone, Serialize)]
pub struct Kill {
    /// Seconds after the load began.
    pub at: f64,
    pub name: String,
    /// From the signal until its replacement was ready; none when none came.
    pub replaced_ms: Option<f64>,
}

/// Times until replacements were ready, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replaced {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

/// Sees before the load starts that there is somebody to kill.
///
/// # Errors
/// When there is no supervisor, or no such service.
pub async fn check(control: &Client, service: Option<&str>) -> anyhow::Result<()> {
    candidates(control.list().await?, service).map(drop)
}

/// Kills until `stop`, and returns once the last victim is replaced.
pub async fn run(
    control: Client,
    spree: Spree,
    meter: Arc<Meter>,
    stop: CancellationToken,
) -> anyhow::Result<Vec<Kill>> {
    let start = Instant::now();
    let mut rng = StdRng::seed_from_u64(spree.seed);
    let mut ticks = interval_at(start + spree.every, spree.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut kills = Vec::new();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let replicas = control.list().await?;
        let candidates = candidates(replicas, spree.service.as_deref())?;
        let Some(victim) = candidates.choose(&mut rng) else {
            continue;
        };
        // What it has used so far dies with it.
        meter.sample().await?;
        let signalled = Instant::now();
        let pid = control.kill(&victim.name, spree.signal).await?;
        let replaced = replacement(&control, &victim.name, pid, signalled + PATIENCE).await?;
        let replaced_ms = replaced.map(|at| (at - signalled).as_secs_f64() * 1e3);
        let at = (signalled - start).as_secs_f64();
        let name = victim.name.clone();
        eprintln!("{}", describe(at, &name, replaced_ms));
        kills.push(Kill {
            at,
            name,
            replaced_ms,
        });
    }
    Ok(kills)
}

/// Whom to kill: nobody until all are ready, for never shall two be away at once.
fn candidates(mut replicas: Vec<Replica>, service: Option<&str>) -> anyhow::Result<Vec<Replica>> {
    let all_ready = replicas.iter().all(|r| r.state == State::Ready);
    if let Some(service) = service {
        replicas.retain(|r| r.service == service);
        anyhow::ensure!(
            !replicas.is_empty(),
            "no replica of a service called {service}"
        );
    }
    if !all_ready {
        replicas.clear();
    }
    // So that the seed alone decides.
    replicas.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(replicas)
}

async fn replacement(
    control: &Client,
    name: &str,
    old: u32,
    deadline: Instant,
) -> anyhow::Result<Option<Instant>> {
    while Instant::now() < deadline {
        let replicas = control.list().await?;
        let ready = |r: &Replica| {
            r.name == name && r.state == State::Ready && r.pid.is_some_and(|pid| pid != old)
        };
        if replicas.iter().any(ready) {
            return Ok(Some(Instant::now()));
        }
        sleep(LOOK).await;
    }
    Ok(None)
}

fn describe(at: f64, name: &str, replaced_ms: Option<f64>) -> String {
    match replaced_ms {
        Some(ms) => format!("{at:6.1} s  {name} killed, replaced in {ms:.0} ms"),
        None => format!("{at:6.1} s  {name} killed, not replaced in {PATIENCE:?}"),
    }
}

/// Spread of the times of those that were replaced.
pub fn spread(kills: &[Kill]) -> Option<Replaced> {
    let mut times: Vec<_> = kills.iter().filter_map(|kill| kill.replaced_ms).collect();
    times.sort_by(f64::total_cmp);
    Some(Replaced {
        min: *times.first()?,
        median: times[times.len() / 2],
        max: *times.last()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(name: &str, state: State) -> Replica {
        let (service, replica) = name.split_once('-').expect("SERVICE-N");
        Replica {
            name: name.into(),
            service: service.into(),
            replica: replica.parse().expect("a number"),
            pid: Some(1),
            state,
            restarts: 0,
            started_at: chrono::DateTime::UNIX_EPOCH,
            api: String::new(),
            ops: String::new(),
        }
    }

    fn names(replicas: &[Replica]) -> Vec<&str> {
        replicas.iter().map(|r| r.name.as_str()).collect()
    }

    #[test]
    fn nobody_is_killed_while_another_is_away() {
        let away = [State::Starting, State::Backoff, State::Stopping];
        for state in away {
            let replicas = vec![
                replica("order-1", State::Ready),
                replica("gateway-1", state),
            ];
            let candidates = candidates(replicas, Some("order")).expect("known");
            assert_eq!(names(&candidates), [""; 0], "while one is {state}");
        }
    }

    #[test]
    fn victims_are_of_the_service_asked_for() {
        let ready = ["order-2", "gateway-1", "order-1"].map(|n| replica(n, State::Ready));
        let order = candidates(ready.to_vec(), Some("order")).expect("known");
        assert_eq!(names(&order), ["order-1", "order-2"]);
        let all = candidates(ready.to_vec(), None).expect("any");
        assert_eq!(all.len(), 3);
        assert!(
            candidates(ready.to_vec(), Some("ordr")).is_err(),
            "a typo is no service"
        );
    }

    #[test]
    fn the_spread_leaves_out_who_never_came_back() {
        let kill = |replaced_ms| Kill {
            at: 0.0,
            name: "order-1".into(),
            replaced_ms,
        };
        let kills = [Some(30.0), None, Some(10.0), Some(20.0)].map(kill);
        let expected = Replaced {
            min: 10.0,
            median: 20.0,
            max: 30.0,
        };
        assert_eq!(spread(&kills), Some(expected));
        assert_eq!(spread(&[kill(None)]), None);
    }
}
