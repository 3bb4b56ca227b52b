//! What can be checked only on the machine the platform runs on.
use crate::{http, ports};
use anyhow::{Context as _, bail, ensure};
use control::{Replica, State};
use serde_json::Value;
use std::{fs, path::Path};
use telemetry::openmetrics;

/// With less space than this left, databases and logs are about to fail, bytes.
const LITTLE_SPACE: u64 = 512 << 20;

/// It exists, can be written, and has room.
pub fn data_folder(data: &Path) -> anyhow::Result<String> {
    let shown = data.display();
    let data = data.canonicalize();
    let data = data.with_context(|| format!("cannot use {shown}"))?;
    let probe = data.join(format!(".doctor-{}", std::process::id()));
    let written = fs::write(&probe, "can this be written?").and_then(|()| fs::remove_file(&probe));
    written.with_context(|| format!("{shown} cannot be written"))?;
    let space = rustix::fs::statvfs(&data)?;
    let free = space.f_bavail * space.f_frsize;
    ensure!(
        free >= LITTLE_SPACE,
        "{shown} has only {} MiB left",
        free >> 20
    );
    let data = data.display();
    Ok(format!("{data} can be written, {} GiB free", free >> 30))
}

/// Why no supervisor answers.
pub fn supervisor_is_away(data: &Path) -> anyhow::Result<String> {
    let pid = fs::read_to_string(data.join("lock")).unwrap_or_default();
    let pid = pid.trim();
    match pid.is_empty() || !Path::new("/proc").join(pid).exists() {
        true => bail!("not running"),
        false => bail!("its last process, {pid}, does not answer"),
    }
}

/// Every port of a replica is held by a replica.
pub fn ports(replicas: &[Replica]) -> anyhow::Result<String> {
    let mut count = 0;
    for replica in replicas.iter().filter(|replica| replica.pid.is_some()) {
        for url in [&replica.api, &replica.ops] {
            let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
            let port = port.with_context(|| format!("{url} has no port"))?;
            let name = &replica.name;
            let holder = ports::holder(port);
            let holder = holder.with_context(|| format!("nobody listens at {url} for {name}"))?;
            let pid = u32::try_from(holder.pid).ok();
            let ours = replicas.iter().any(|replica| replica.pid == pid);
            ensure!(ours, "{url}, meant for {name}, is taken by {holder}");
            count += 1;
        }
    }
    Ok(format!("{count} listeners, all of this platform"))
}

/// It answers that it is ready; the answer names its checks.
pub async fn ready(replica: &Replica) -> anyhow::Result<String> {
    let restarts = replica.restarts;
    ensure!(
        replica.state == State::Ready,
        "{} (restarts: {restarts})",
        replica.state
    );
    let answer = http::get(&format!("{}/readyz", replica.ops), &[]).await?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let checks = body["checks"].as_object().into_iter().flatten();
    let checks = checks.map(|(name, state)| format!("{name} {}", state.as_str().unwrap_or("?")));
    let checks: String = checks.map(|check| format!(", {check}")).collect();
    let status = answer.status;
    ensure!(status == 200, "readyz answers {status}{checks}");
    let pid = replica.pid.unwrap_or_default();
    Ok(format!("ready, pid {pid}, restarts {restarts}{checks}"))
}

/// Its metrics answer, and Prometheus will understand them.
pub async fn metrics(replica: &Replica) -> anyhow::Result<String> {
    let answer = http::get(&format!("{}/metrics", replica.ops), &[]).await?;
    ensure!(answer.status == 200, "{answer}");
    let text = std::str::from_utf8(&answer.body).context("not UTF-8")?;
    let samples = openmetrics::parse(text).context("not OpenMetrics")?;
    Ok(format!("{} samples", samples.len()))
}
