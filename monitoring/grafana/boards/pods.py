"""Replicas and what they use: processes everywhere, and in a cluster also what Kubernetes says of their pods."""
from .board import *

CONTAINERS = f'{NAMESPACE},container=~"$service|postgres|redis"'
REQUESTS = f"http_request_duration_seconds_bucket{{{OURS}}}"

BOARD = board(
    "seawall-pods", "Seawall / Replicas and pods",
    "Status, requests, CPU and memory of each replica, whatever it is: a process, a container or a pod.",
    [
        row("Replicas"),
        panel(
            "Status", "Green answers, red doesn't.", query(f"up{{{OURS}}}", EACH), kind="state-timeline",
            maps={"1": ("up", GREEN), "0": ("down", RED)}, limits=(RED, (1, GREEN)), most=1, width=16, height=10, runbook="APIServiceDown",
        ),
        panel(
            "Restarts", "In the time shown.", query(f"sum by (job) (changes(process_start_time_seconds{{{OURS}}}[$__range]))", "{{job}}", instant=True),
            kind="bargauge", limits=(GREEN, (1, YELLOW), (5, RED)), height=10, runbook="PodRestarts",
        ),
        panel(
            "Requests", "A second, of each replica. Alike ones should get alike shares.",
            query(f"sum by (job, replica, pod, instance) (rate(http_requests_total{{{OURS}}}[$__rate_interval]))", EACH), unit="reqps",
        ),
        panel(
            "Requests so far", "Since each replica started.",
            query(f"sum by (job, replica, pod, instance) (http_requests_total{{{OURS}}})", EACH, instant=True), kind="bargauge",
        ),
        panel(
            "Times to answer", "The buckets of the histogram; the darker, the more requests took so long.",
            query(f"sum by (le) (increase({REQUESTS}[$__rate_interval]))", "{{le}}", heatmap=True, exemplar=True), kind="heatmap",
        ),
        panel(
            "CPU", "Share of a core.",
            query(f"sum by (job, replica, pod, instance) (rate(process_cpu_seconds_total{{{OURS}}}[$__rate_interval]))", EACH),
            unit="percentunit", limits=(GREEN, (0.8, RED)), runbook="HighCPU",
        ),
        panel("Memory", "Resident, of each process.", query(f"process_resident_memory_bytes{{{OURS}}}", EACH), unit="bytes", runbook="HighMemory"),
        panel("Memory of a service", "Of all its replicas.", query(f"sum by (job) (process_resident_memory_bytes{{{OURS}}})", "{{job}}"), unit="bytes", stack=True),
        panel("Threads", "Few and steady; growth is blocking work that piles up.", query(f"process_threads{{{OURS}}}", EACH)),
        panel(
            "Open files", "Connections are among them; growth that doesn't end is a leak.", query(f"process_open_fds{{{OURS}}}", EACH),
        ),
        panel("Age", "Since the process started.", query(f"time() - process_start_time_seconds{{{OURS}}}", EACH), unit="s"),
        row("Pods, in a cluster"),
        panel(
            "Pods by phase", "Pending ones wait for a place, Failed ones for you.",
            query(f"sum by (phase) (kube_pod_status_phase{{{NAMESPACE}}})", "{{phase}}"), stack=True, runbook="RolloutStuck",
        ),
        panel(
            "Ready of wanted", "Deployments, as a share of the replicas they want.",
            query(
                f"kube_deployment_status_replicas_available{{{NAMESPACE}}} / kube_deployment_spec_replicas{{{NAMESPACE}}}", "{{deployment}}"
            ),
            unit="percentunit", limits=(RED, (1, GREEN)), most=1, runbook="RolloutStuck",
        ),
        panel(
            "Restarts by the kubelet", "Of containers, in the time shown.",
            query(f"sum by (container) (increase(kube_pod_container_status_restarts_total{{{CONTAINERS}}}[$__range]))", "{{container}}", instant=True),
            kind="bargauge", limits=(GREEN, (1, YELLOW), (5, RED)), runbook="PodRestarts",
        ),
        panel(
            "CPU of the limit", "Share of what each container may use; at 100 % it is slowed down.",
            query(
                f"sum by (pod, container) (rate(container_cpu_usage_seconds_total{{{CONTAINERS}}}[$__rate_interval]))"
                f' / sum by (pod, container) (kube_pod_container_resource_limits{{{CONTAINERS},resource="cpu"}})', "{{pod}} {{container}}",
            ),
            unit="percentunit", limits=(GREEN, (0.9, RED)), runbook="HighCPU",
        ),
        panel(
            "Memory of the limit", "Share of what each container may use; at 100 % it is killed.",
            query(
                f"sum by (pod, container) (container_memory_working_set_bytes{{{CONTAINERS}}})"
                f' / sum by (pod, container) (kube_pod_container_resource_limits{{{CONTAINERS},resource="memory"}})', "{{pod}} {{container}}",
            ),
            unit="percentunit", limits=(GREEN, (0.9, RED)), runbook="HighMemory",
        ),
        panel(
            "Slowed down", "Share of its turns in which a container was held back for want of CPU.",
            query(
                f"sum by (pod, container) (rate(container_cpu_cfs_throttled_periods_total{{{CONTAINERS}}}[$__rate_interval]))"
                f" / sum by (pod, container) (rate(container_cpu_cfs_periods_total{{{CONTAINERS}}}[$__rate_interval]))", "{{pod}} {{container}}",
            ),
            unit="percentunit", limits=(GREEN, (0.25, RED)), runbook="HighCPU",
        ),
    ],
)
