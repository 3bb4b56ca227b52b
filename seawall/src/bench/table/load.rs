//! The part about load: requests, latencies, timeline, cost.
use super::{line, part};
use crate::bench::{
    report::{Comparison, Cost, Section, Side},
    tally::{Latency, Requests, Second},
};
use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
};

/// Seconds of the timeline per line.
const SECONDS_PER_LINE: usize = 15;

/// A phase of load.
pub fn section(f: &mut Formatter<'_>, section: &Section) -> fmt::Result {
    let figures = &section.figures;
    writeln!(f)?;
    let path = format!("{:?}", section.path).to_lowercase();
    requests(f, "orders", &figures.orders)?;
    let others = format!("{} sold out, {} dropped", figures.sold_out, figures.dropped);
    line(
        f,
        "",
        format_args!("{others}, in {:.1} s by {path}", figures.seconds),
    )?;
    part(f, figures.reads.as_ref(), |f, reads| {
        requests(f, "reads", reads)
    })?;
    line(
        f,
        "longest gap",
        format_args!("{:.0} ms without a success", figures.max_gap_ms),
    )?;
    timeline(f, &figures.timeline)?;
    let own = section.bench_cpu_micros;
    match &section.cost {
        Some(cost) => line(
            f,
            "CPU per order",
            format_args!("{}; the bench itself {own:.0} µs", Services(cost)),
        ),
        None => line(
            f,
            "CPU per order",
            format_args!("not measured; the bench itself {own:.0} µs"),
        ),
    }
}

/// One turn of a comparison, in short.
pub fn turn(f: &mut Formatter<'_>, section: &Section) -> fmt::Result {
    let Section { path, figures, .. } = section;
    let Requests {
        ok,
        per_second,
        failed,
        latency_ms,
        ..
    } = &figures.orders;
    let Latency { p50, p99, .. } = latency_ms;
    let name = format!("{path:?}").to_lowercase();
    line(
        f,
        &name,
        format_args!("{ok} ok, {per_second:.1}/s, {failed} failed, ms p50 {p50:.2}  p99 {p99:.2}"),
    )
}

fn requests(f: &mut Formatter<'_>, name: &str, requests: &Requests) -> fmt::Result {
    let Requests {
        ok,
        per_second,
        failed,
        retried,
        ..
    } = requests;
    line(
        f,
        name,
        format_args!("{ok} ok, {per_second:.1}/s, {failed} failed, {retried} retried"),
    )?;
    causes(f, "  failed by", &requests.failed_by_cause)?;
    causes(f, "  retried for", &requests.retried_by_cause)?;
    line(f, "  latency ms", Percentiles(&requests.latency_ms))
}

/// On one line.
pub struct Percentiles<'a>(pub &'a Latency);

impl Display for Percentiles<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Latency {
            p50,
            p90,
            p99,
            p999,
            max,
        } = self.0;
        write!(
            f,
            "p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2}"
        )
    }
}

struct Services<'a>(&'a Cost);

impl Display for Services<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} µs:", self.0.cpu_micros)?;
        for (service, micros) in &self.0.cpu_micros_by_service {
            write!(f, " {service} {micros:.0}")?;
        }
        Ok(())
    }
}

/// How often each cause came up; no line when there was none.
pub fn causes(f: &mut Formatter<'_>, name: &str, causes: &BTreeMap<String, u64>) -> fmt::Result {
    if causes.is_empty() {
        return Ok(());
    }
    let causes: Vec<_> = causes
        .iter()
        .map(|(cause, count)| format!("{count} × {cause}"))
        .collect();
    line(f, name, causes.join(", "))
}

fn timeline(f: &mut Formatter<'_>, timeline: &[Second]) -> fmt::Result {
    let mut name = "ok per second";
    for seconds in timeline.chunks(SECONDS_PER_LINE) {
        let counts: Vec<_> = seconds
            .iter()
            .map(|second| format!("{:>5}", second.ok))
            .collect();
        line(f, name, counts.join(" "))?;
        name = "";
    }
    Ok(())
}

/// What the gateway costs.
pub fn comparison(f: &mut Formatter<'_>, comparison: &Comparison) -> fmt::Result {
    let side = |side: &Side| {
        let cpu = side
            .cpu_micros
            .map_or(String::new(), |cpu| format!(", {cpu:.0} µs CPU per order"));
        format!("{} orders, {:.1}/s{cpu}", side.orders, side.per_second)
    };
    writeln!(f)?;
    line(f, "by gateway", side(&comparison.through_gateway))?;
    line(f, "direct", side(&comparison.direct))?;
    let cost = (1.0 - comparison.throughput_ratio) * 100.0;
    let ratio = comparison.throughput_ratio;
    line(
        f,
        "ratio",
        format_args!("{ratio:.3}: the gateway costs {cost:.1} % of throughput"),
    )
}
