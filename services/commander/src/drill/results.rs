//! Reports of several runs together: JUnit for pipelines, a table for people.
use super::report::{Report, Verdict};
use std::fmt::{self, Write as _};

/// JUnit XML with one test case for each drill.
pub fn junit(reports: &[Report]) -> String {
    let mut text = String::new();
    write_junit(&mut text, reports).expect("strings take any text");
    text
}

fn write_junit(to: &mut String, reports: &[Report]) -> fmt::Result {
    let count = |verdict| reports.iter().filter(|r| r.verdict == verdict).count();
    let errors = count(Verdict::Inconclusive) + count(Verdict::Aborted);
    let seconds: f64 = reports.iter().map(|r| r.seconds).sum();
    writeln!(to, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        to,
        r#"<testsuites><testsuite name="drills" tests="{}" failures="{}" errors="{errors}" time="{seconds:.1}">"#,
        reports.len(),
        count(Verdict::Failed)
    )?;
    for report in reports {
        let name = escape(&report.drill);
        writeln!(
            to,
            r#"<testcase classname="drills" name="{name}" time="{:.1}">"#,
            report.seconds
        )?;
        let reasons = escape(&report.reasons.join("; "));
        let kind = report.verdict;
        match kind {
            Verdict::Passed => {}
            Verdict::Failed => writeln!(to, r#"<failure type="{kind}" message="{reasons}"/>"#)?,
            Verdict::Inconclusive | Verdict::Aborted => {
                writeln!(to, r#"<error type="{kind}" message="{reasons}"/>"#)?;
            }
        }
        let marks = report
            .marks
            .iter()
            .map(|m| format!("{}: {} ({})", m.mark, m.measured, m.limit));
        let marks = marks.collect::<Vec<_>>().join("\n");
        writeln!(
            to,
            "<system-out>seed {}\n{}</system-out>\n</testcase>",
            report.seed,
            escape(&marks)
        )?;
    }
    writeln!(to, "</testsuite></testsuites>")
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push('\n'),
            // No other control character may be in XML 1.0, not even escaped.
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Markdown of the whole run.
pub fn table(reports: &[Report]) -> String {
    let mut text = String::new();
    write_table(&mut text, reports).expect("strings take any text");
    text
}

fn write_table(to: &mut String, reports: &[Report]) -> fmt::Result {
    let Some(first) = reports.first() else {
        return Ok(());
    };
    writeln!(to, "# What the drills have shown\n")?;
    writeln!(
        to,
        "Written by `seawall drill run all --results`, {}: Seawall {} ({}), {}, seed {}. Figures are of that\n\
         machine and that run; the limits are in `drills/`.\n",
        first.started_at.format("%Y-%m-%d %H:%M UTC"),
        first.version,
        first.revision,
        first.environment,
        first.seed
    )?;
    writeln!(
        to,
        "| drill | verdict | requests | bad | sent twice | detected | recovered | replacement | p99 | audit |"
    )?;
    writeln!(to, "|---|---|---|---|---|---|---|---|---|---|")?;
    for report in reports {
        row(to, report)?;
    }
    writeln!(
        to,
        "\nBad: without a good answer in the end, 503 included. Detected: from the fault to the first alert that was expected;\n\
         a drill does not wait for one. Recovered: from the end of the fault to the last bad request. Replacement: the slowest one, from the kill until it was ready. p99: of good requests of the whole run."
    )?;
    for report in reports {
        writeln!(
            to,
            "\n## {}: {}\n\n{}\n",
            report.drill,
            report.title,
            report.hypothesis.trim()
        )?;
        if !report.victims.is_empty() {
            writeln!(to, "Hit: {}.\n", report.victims.join(", "))?;
        }
        for reason in &report.reasons {
            writeln!(to, "- **{}**: {reason}", report.verdict)?;
        }
        for mark in &report.marks {
            let sign = if mark.passed { "" } else { "**missed** " };
            writeln!(
                to,
                "- {sign}{}: {} ({})",
                mark.mark, mark.measured, mark.limit
            )?;
        }
    }
    Ok(())
}

fn row(to: &mut String, report: &Report) -> fmt::Result {
    let or = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let requests = &report.requests;
    let audit = report
        .audit
        .as_ref()
        .map(|a| format!("{} orders, {} violations", a.orders, a.violations));
    writeln!(
        to,
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        report.drill,
        report.verdict,
        requests.sent,
        requests.bad(),
        requests.retried,
        or(report.detection.seconds.map(|s| format!("{s:.0} s"))),
        or(report.recovery.recovered.map(|s| format!("{s:.2} s"))),
        or(report.recovery.ready_ms.map(|ms| format!("{ms} ms"))),
        or(requests.p99_ms.map(|ms| format!("{ms:.0} ms"))),
        or(audit)
    )
}
