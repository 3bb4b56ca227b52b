//! What a pod says of the replica in it.
use crate::replica::{Replica, State};
use chrono::{DateTime, Utc};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

/// Which service it is of.
const NAME: &str = "app.kubernetes.io/name";
/// On a pod since Kubernetes 1.35, which copies it from the node; so nobody has to read nodes.
const ZONE: &str = "topology.kubernetes.io/zone";
/// Its own container, as against those that others put beside it, has this port.
const API: &str = "http";
const OPS_PORT: u16 = 9091;

/// The replica in a pod; none where it isn't one of a service.
pub fn replica(pod: &Pod) -> Option<Replica> {
    let meta = &pod.metadata;
    let labels = meta.labels.as_ref()?;
    let port = api_port(pod)?;
    let status = pod.status.clone().unwrap_or_default();
    let container = own_container(pod, &status);
    let restarts = container.map_or(0, |c| u32::try_from(c.restart_count).unwrap_or(0));
    let ip = status.pod_ip.clone().unwrap_or_default();
    let uid = meta.uid.as_deref().unwrap_or_default();
    Some(Replica {
        name: meta.name.clone()?,
        service: labels.get(NAME)?.clone(),
        state: match meta.deletion_timestamp.is_some() {
            true => State::Draining,
            false => state(&status, container),
        },
        // A container that is started again in its pod is another process.
        life: format!("{uid}/{restarts}"),
        started_at: container.and_then(started_at),
        restarts,
        address: host_port(&ip, port),
        ops: host_port(&ip, OPS_PORT),
        zone: labels
            .get(ZONE)
            .map_or("unknown", String::as_str)
            .to_owned(),
    })
}

/// A service's beside each other, by name.
pub fn sort(replicas: &mut [Replica]) {
    replicas.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
}

/// The port of the API; databases and exporters have none of that name.
fn api_port(pod: &Pod) -> Option<u16> {
    let containers = &pod.spec.as_ref()?.containers;
    let mut ports = containers.iter().filter_map(|c| c.ports.as_ref()).flatten();
    let api = ports.find(|port| port.name.as_deref() == Some(API))?;
    u16::try_from(api.container_port).ok()
}

fn own_container<'a>(pod: &Pod, status: &'a PodStatus) -> Option<&'a ContainerStatus> {
    let containers = &pod.spec.as_ref()?.containers;
    let own = containers.iter().find(|c| {
        let mut ports = c.ports.iter().flatten();
        ports.any(|port| port.name.as_deref() == Some(API))
    })?;
    let mut all = status.container_statuses.as_ref()?.iter();
    all.find(|container| container.name == own.name)
}

fn state(status: &PodStatus, container: Option<&ContainerStatus>) -> State {
    let ended = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
    let now = container.and_then(|c| c.state.as_ref());
    // Its next start is waited for, after one that ended.
    let waits = now.is_some_and(|s| s.terminated.is_some())
        || now.is_some_and(|s| s.waiting.is_some())
            && container.is_some_and(|c| c.restart_count > 0);
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.any(|c| c.type_ == "Ready" && c.status == "True");
    match (ended || waits, ready) {
        (true, _) => State::Down,
        (false, true) => State::Ready,
        (false, false) => State::Starting,
    }
}

fn started_at(container: &ContainerStatus) -> Option<DateTime<Utc>> {
    let running = container.state.as_ref()?.running.as_ref()?;
    let time = &running.started_at.as_ref()?.0;
    DateTime::from_timestamp(time.as_second(), 0)
}

fn host_port(ip: &str, port: u16) -> String {
    match ip {
        "" => String::new(),
        ip if ip.contains(':') => format!("[{ip}]:{port}"),
        ip => format!("{ip}:{port}"),
    }
}
