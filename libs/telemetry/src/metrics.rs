//! The registry every service starts from: build, process and log metrics.
use crate::{REVISION, VERSION, log};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::Registry,
};
use std::fmt;

/// A registry that holds what all processes expose: `build_info`, `process_*`, `log_events_total`.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    let build = Info::new(vec![("version", VERSION), ("revision", REVISION)]);
    registry.register("build", "Version and commit of this binary", build);
    registry.register("log_events", "Log events by level", log::EVENTS.clone());
    registry.register_collector(Box::new(Process));
    registry
}

/// Reads `/proc/self` when scraped. Names as in
/// <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // A scrape without process metrics beats no scrape.
        let Ok(process) = procfs::process::Process::myself() else {
            return Ok(());
        };
        let Ok(stat) = process.stat() else {
            return Ok(());
        };
        let ticks = procfs::ticks_per_second() as f64;
        let cpu = ConstCounter::new((stat.utime + stat.stime) as f64 / ticks);
        let metric = encoder.encode_descriptor(
            "process_cpu_seconds",
            "CPU time used, user and system",
            None,
            cpu.metric_type(),
        )?;
        cpu.encode(metric)?;
        let mut gauge = |name, help, value: f64| {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)
        };
        let rss = stat.rss as f64 * procfs::page_size() as f64;
        gauge("process_resident_memory_bytes", "Resident memory", rss)?;
        gauge(
            "process_threads",
            "Threads of this process",
            stat.num_threads as f64,
        )?;
        if let Ok(fds) = process.fd_count() {
            gauge("process_open_fds", "Open file descriptors", fds as f64)?;
        }
        if let Ok(boot) = procfs::boot_time_secs() {
            let started = boot as f64 + stat.starttime as f64 / ticks;
            gauge(
                "process_start_time_seconds",
                "When this process started, Unix time",
                started,
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn exposes_what_every_dashboard_needs() {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &super::registry()).expect("encodes");
        for name in [
            "build_info{",
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_start_time_seconds ",
            "log_events_total{level=\"error\"} 0",
        ] {
            assert!(text.contains(name), "{name} missing in:\n{text}");
        }
    }
}
