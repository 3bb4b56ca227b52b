//! What the lab found, as one table in Markdown.
use super::{Outcome, experiment::Experiment};
use std::fmt::{self, Write as _};

/// All experiments with all ways.
pub fn table(results: &[(Experiment, Vec<Outcome>)]) -> String {
    let mut text = String::new();
    write(&mut text, results).expect("strings take any text");
    text
}

fn write(to: &mut String, results: &[(Experiment, Vec<Outcome>)]) -> fmt::Result {
    writeln!(to, "# One fault, five ways to call\n")?;
    writeln!(
        to,
        "Written by `seawall drill lab --results`. Each row is measured: backends on the loopback interface, calls at\n\
         a constant rate by the client that the services use, with another setting each time. Goodput: good answers\n\
         in time. Amplification: attempts that reach a backend for each call."
    )?;
    for (experiment, outcomes) in results {
        writeln!(to, "\n## {}\n\n{}\n", experiment.name, experiment.title)?;
        writeln!(
            to,
            "{} backends, {} of them hit; {} calls per second for {} s; an answer counts within {} ms.\n",
            experiment.backends,
            experiment.hit,
            experiment.rate,
            experiment.seconds,
            experiment.patience_ms
        )?;
        writeln!(
            to,
            "| way | | goodput | of the calls | amplification | median | p99 |\n|---|---|---|---|---|---|---|"
        )?;
        for outcome in outcomes {
            let ms = |time: Option<f64>| time.map_or("-".to_owned(), |ms| format!("{ms:.0} ms"));
            writeln!(
                to,
                "| {} | {} | {:.0}/s | {:.1} % | {:.2} | {} | {} |",
                outcome.way,
                outcome.says,
                outcome.goodput(),
                100.0 * outcome.good as f64 / outcome.calls.max(1) as f64,
                outcome.amplification(),
                ms(outcome.p50_ms),
                ms(outcome.p99_ms)
            )?;
        }
    }
    Ok(())
}
