//! The machine a run was measured on.
use serde::Serialize;
use std::fs::read_to_string;

/// Enough to tell whether two reports can be compared.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Usable by this process.
    pub cores: usize,
    pub cpu: String,
    pub kernel: String,
}

impl Machine {
    /// What can't be found out is `unknown`.
    pub fn read() -> Self {
        let unknown = || "unknown".to_owned();
        let cpuinfo = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()));
        let kernel = read_to_string("/proc/sys/kernel/osrelease").map(|r| r.trim().to_owned());
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: model.unwrap_or_else(unknown),
            kernel: kernel.unwrap_or_else(|_| unknown()),
        }
    }
}
