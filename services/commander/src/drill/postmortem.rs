//! A draft of the postmortem: what a run knows, and the questions it can't answer.
use super::report::Report;
use std::fmt::{self, Display, Write as _};

/// Markdown of one report.
pub fn postmortem(report: &Report) -> String {
    let mut text = String::new();
    write(&mut text, report).expect("strings take any text");
    text
}

fn write(to: &mut String, report: &Report) -> fmt::Result {
    writeln!(to, "# {}\n", report.title)?;
    writeln!(
        to,
        "Drill `{}`, seed {}, {}, Seawall {} ({}). **{}**.\n",
        report.drill,
        report.seed,
        report.started_at.format("%Y-%m-%d %H:%M:%S UTC"),
        report.version,
        report.revision,
        report.verdict
    )?;
    for reason in &report.reasons {
        writeln!(to, "- {reason}")?;
    }
    writeln!(to, "\n## What happened\n\n{}\n", report.story.trim())?;
    if !report.victims.is_empty() {
        writeln!(to, "Hit: {}.\n", report.victims.join(", "))?;
    }
    writeln!(to, "Hypothesis: {}\n", report.hypothesis.trim())?;
    summary(to, report)?;
    writeln!(
        to,
        "\n## Pass marks\n\n| mark | asked for | measured | |\n|---|---|---|---|"
    )?;
    for mark in &report.marks {
        let verdict = if mark.passed { "passed" } else { "**failed**" };
        writeln!(
            to,
            "| {} | {} | {} | {verdict} |",
            mark.mark, mark.limit, mark.measured
        )?;
    }
    audit(to, report)?;
    writeln!(
        to,
        "\n## Timeline\n\nSeconds after the load began.\n\n| at | |\n|---|---|"
    )?;
    for event in &report.timeline {
        writeln!(
            to,
            "| {:.1} | {} |",
            event.at,
            event.what.replace('|', "\\|")
        )?;
    }
    questions(to, report)
}

fn summary(to: &mut String, report: &Report) -> fmt::Result {
    let requests = &report.requests;
    let recovery = &report.recovery;
    writeln!(to, "## In figures\n\n| | |\n|---|---|")?;
    let mut row = |what: &str, value: &dyn Display| writeln!(to, "| {what} | {value} |");
    row("time to detect", &report.detection.told())?;
    row(
        "time to recover, as clients saw it",
        &seconds(recovery.recovered),
    )?;
    if recovery.first_bad.is_some() {
        row("first bad request at", &seconds(recovery.first_bad))?;
        row("last bad request ended at", &seconds(recovery.last_bad))?;
    }
    if let Some(ms) = recovery.ready_ms {
        row("slowest replacement", &format!("{ms} ms"))?;
    }
    let refused = format!(
        "{} sent, {} refused, {} failed, {} sent twice",
        requests.sent, requests.refused, requests.failed, requests.retried
    );
    row("requests", &refused)?;
    row(
        "median, 99th percentile",
        &format!("{}, {}", millis(requests.p50_ms), millis(requests.p99_ms)),
    )?;
    row("slowest answer", &millis(Some(requests.slowest_answer_ms)))?;
    let budget = &report.budget;
    let spent = budget
        .spent_percent
        .map_or("nothing is allowed".to_owned(), |p| format!("{p:.0} %"));
    let spent = format!(
        "{spent} of what {} % allow: {} bad, {:.1} allowed",
        budget.objective_percent, budget.bad, budget.allowed
    );
    row("error budget of this run", &spent)
}

fn audit(to: &mut String, report: &Report) -> fmt::Result {
    let Some(audit) = &report.audit else {
        return Ok(());
    };
    writeln!(
        to,
        "\n## Loss audit\n\n{} orders stored, {} confirmed, {} cancelled.",
        audit.orders, audit.confirmed, audit.cancelled
    )?;
    if let Some(ledger) = &audit.ledger {
        writeln!(
            to,
            "This run's clients: {} acknowledged, {} refused, {} unknown.",
            ledger.ok, ledger.fail, ledger.info
        )?;
    }
    writeln!(
        to,
        "\n| invariant | looked at | violations |\n|---|---|---|"
    )?;
    for check in &audit.checks {
        writeln!(
            to,
            "| {:?}: {} | {} | {} |",
            check.invariant, check.rule, check.checked, check.violations
        )?;
    }
    for violation in &audit.first {
        writeln!(to, "\n- {:?}: {}", violation.invariant, violation.detail)?;
    }
    Ok(())
}

fn questions(to: &mut String, report: &Report) -> fmt::Result {
    writeln!(to, "\n## To answer\n")?;
    for question in [
        report.question.as_str(),
        "What did customers notice, and for how long?",
        "How would it have been found without this drill, and how long would that have taken?",
        "What kept it from being worse?",
        "What will be changed, by whom, until when?",
    ] {
        writeln!(to, "- {}", question.trim())?;
    }
    let path = report.runbook.trim_start_matches("docs/");
    writeln!(to, "\nRunbook: `docs/{path}`.")
}

fn seconds(time: Option<f64>) -> String {
    time.map_or("never".to_owned(), |s| format!("{s:.2} s"))
}

fn millis(time: Option<f64>) -> String {
    time.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"))
}
