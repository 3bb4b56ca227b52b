//! `seawall crash`: random crashes on a platform of its own, and an audit after each schedule.
//!
//! [`schedule`] settles what happens, [`stage`] runs the platform and breaks it, [`buyer`] keeps what
//! buyers were told, [`evidence`] reads what is stored, [`audit`] judges.
mod args;
mod audit;
mod buyer;
mod evidence;
mod schedule;
mod stage;

pub use args::Args;

use buyer::Run;
use rand::Rng as _;
use schedule::Schedule;
use stage::Stage;
use std::{collections::VecDeque, process::ExitCode, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Schedules that are audited again after each later one: some mistakes take their time.
const AGAIN: usize = 8;
/// So many schedules later the circuit breakers have forgotten a fault.
const CALM: usize = 2;
/// Between two audits of what isn't right yet.
const PAUSE: Duration = Duration::from_millis(200);
const AUDITS: u32 = 10;

/// Runs the schedules and tells by the exit code whether all were survived.
///
/// # Errors
/// When no schedule could be run.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.layout.check().await?;
    let seed = args
        .seed
        .unwrap_or_else(|| u64::from(rand::rng().next_u32()));
    let run = format!("{:08x}", rand::rng().next_u32());
    let data = args.data.clone();
    let data = data.unwrap_or_else(|| std::env::temp_dir().join(format!("seawall-crash-{run}")));
    let mut stage = Stage::set(&args, &data, &run).await?;
    let began = Instant::now();
    let failure = play(&mut stage, &args, seed, &run).await;
    stage.strike().await?;
    if args.data.is_none() && !matches!(failure, Ok(Some(_))) {
        std::fs::remove_dir_all(&data).ok();
    }
    let took = began.elapsed().as_secs_f64();
    let expected = args.expect_failure;
    Ok(match failure? {
        None => {
            let n = args.schedules;
            println!(
                "{n} schedules from seed {seed} survived, {:.2} s each",
                took / f64::from(n)
            );
            ExitCode::from(u8::from(expected))
        }
        Some(n) => {
            println!(
                "schedule {n} of {} failed after {took:.0} s; data: {}",
                args.schedules,
                data.display()
            );
            ExitCode::from(u8::from(!expected))
        }
    })
}

/// The number of the first schedule that fails.
async fn play(
    stage: &mut Stage,
    args: &Args,
    seed: u64,
    name: &str,
) -> anyhow::Result<Option<u32>> {
    let mut past: VecDeque<Arc<Run>> = VecDeque::new();
    for n in 0..args.schedules {
        let began = Instant::now();
        let schedule = Schedule::new(seed.wrapping_add(n.into()), args.layout.replicas);
        if args.verbose {
            print!("{schedule}");
        }
        let run = Arc::new(stage.stock(schedule, name).await?);
        let (_, broken) = tokio::join!(
            buyer::shop(&run, &stage.shop),
            stage.break_things(&run.schedule.faults)
        );
        broken?;
        let settled = stage.settle(&run).await?;
        let mut wrong = judge(stage, &run, settled).await?;
        wrong.extend(unavailable(&run, &past));
        if !wrong.is_empty() {
            report(&run, &wrong);
            return Ok(Some(n + 1));
        }
        past.push_back(run);
        for earlier in &past {
            let wrong = stage.audit(earlier).await?;
            if !wrong.is_empty() {
                report(earlier, &wrong);
                return Ok(Some(n + 1));
            }
        }
        past.drain(..past.len().saturating_sub(AGAIN));
        if args.verbose || (n + 1) % 50 == 0 {
            println!(
                "{} survived, the last in {:.1} s",
                n + 1,
                began.elapsed().as_secs_f64()
            );
        }
    }
    let left = stage.left_over().await?;
    for what in &left {
        println!("  {what}");
    }
    Ok((!left.is_empty()).then_some(args.schedules))
}

/// Audits until the result is clean, or for a while.
async fn judge(stage: &Stage, run: &Run, settled: bool) -> anyhow::Result<Vec<String>> {
    let mut tries = 0;
    loop {
        let mut wrong = stage.audit(run).await?;
        if wrong.is_empty() && !settled {
            wrong.push("it did not settle in time".to_owned());
        }
        tries += 1;
        if wrong.is_empty() || tries == AUDITS {
            return Ok(wrong);
        }
        sleep(PAUSE).await;
    }
}

/// The loss of one replica behind the gateway, with the other one well, may fail no request.
fn unavailable(run: &Run, past: &VecDeque<Arc<Run>>) -> Option<String> {
    let service = run.schedule.lone_kill()?;
    let mut recent = past.iter().rev().take(CALM);
    let disturbed = recent.any(|run| {
        let mut faults = run.schedule.faults.iter();
        faults.any(|fault| fault.service == service)
    });
    let history = run.history();
    let first = history.failed_tries.first().filter(|_| !disturbed)?;
    let count = history.failed_tries.len();
    Some(format!(
        "R-KILL-1: {count} requests failed, although one replica of {service} was there: {first}"
    ))
}

fn report(run: &Run, wrong: &[String]) {
    print!("{}", run.schedule);
    for what in wrong {
        println!("  {what}");
    }
    let history = run.history();
    println!("  failed tries: {}", history.failed_tries.len());
    println!("repeat it with --schedules 1 --seed {}", run.schedule.seed);
}
