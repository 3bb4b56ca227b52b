"""Queues and the jobs in them."""
from .board import *

# Prometheus keeps `job` for who was scraped; the metric's own label of that name becomes `exported_job`.
QUEUES = f"{{{NAMESPACE}}}"

BOARD = board(
    "seawall-jobs", "Seawall / Jobs and queues",
    "What waits, for how long, what fails, and whether the schedules are kept. Every replica shows the same queues, so the highest counts.",
    [
        stat(
            "Oldest due", "For how long the oldest job that could be running has been due; 99 % of the time it must be under 10 s.",
            f"max(worker_queue_oldest_seconds{QUEUES})", unit="s", limits=(GREEN, (5, YELLOW), (10, RED)), runbook="QueueStalled",
        ),
        stat(
            "Waiting", "Jobs and events that no worker has begun.", f'sum(max by (namespace, queue) (worker_queue_depth{{{NAMESPACE},state="waiting"}}))',
            limits=(GREEN, (1000, YELLOW), (5000, RED)), runbook="QueueBacklog",
        ),
        stat("Running", "Under way now.", f'sum(max by (namespace, queue) (worker_queue_depth{{{NAMESPACE},state="running"}}))'),
        stat(
            "Retrying", "Failed, and due again after a pause.", f'sum(max by (namespace, queue) (worker_queue_depth{{{NAMESPACE},state="retrying"}}))',
            limits=(GREEN, (1, YELLOW)),
        ),
        stat(
            "Dead letters", "Given up. Look at the error in the console, mend the cause, replay.",
            f'sum(max by (namespace, queue) (worker_queue_depth{{{NAMESPACE},state="dead"}}))', limits=(GREEN, (1, RED)), runbook="DeadLetters",
        ),
        stat(
            "Workers", "Replicas that answer.", f'sum(up{{{NAMESPACE},job="worker"}})', limits=(RED, (1, GREEN)), runbook="WorkerDown",
        ),
        panel(
            "Depth", "Jobs of each queue by state; done ones, which are trimmed, left out.",
            query(f'max by (queue, state) (worker_queue_depth{{{NAMESPACE},state!="done"}})', "{{queue}} {{state}}"), width=12, runbook="QueueBacklog",
        ),
        panel(
            "Age of the oldest due job", "A queue that stands still shows here first, even when no job comes or goes.",
            query(f"max by (queue) (worker_queue_oldest_seconds{QUEUES})", "{{queue}}"),
            unit="s", limits=(GREEN, (10, RED)), width=12, runbook="JobFreshnessBudgetBurn",
        ),
        panel(
            "Runs that succeeded", "A second, by kind.",
            query(f"sum by (exported_job) (rate(worker_jobs_success_total{QUEUES}[$__rate_interval]))", "{{exported_job}}"), unit="ops", stack=True,
        ),
        panel(
            "Runs that failed", "A second, by kind; also those that will be tried again.",
            query(f"sum by (exported_job) (rate(worker_jobs_failure_total{QUEUES}[$__rate_interval]))", "{{exported_job}}"),
            unit="ops", stack=True, runbook="WorkerJobFailureRate",
        ),
        panel(
            "Share that failed", "Of all runs.",
            query(
                f"sum(rate(worker_jobs_failure_total{QUEUES}[$__rate_interval])) / sum(rate(worker_job_duration_seconds_count{QUEUES}[$__rate_interval]))",
                "failed",
            ),
            unit="percentunit", limits=(GREEN, (0.05, RED)), most=1, runbook="WorkerJobFailureRate",
        ),
        panel(
            "Time of a run, p95", "By kind of job.",
            query(
                f"histogram_quantile(0.95, sum by (exported_job, le) (rate(worker_job_duration_seconds_bucket{QUEUES}[$__rate_interval])))", "{{exported_job}}"
            ),
            unit="s",
        ),
        panel(
            "Times of all runs", "The darker, the more runs took so long.",
            query(f"sum by (le) (increase(worker_job_duration_seconds_bucket{QUEUES}[$__rate_interval]))", "{{le}}", heatmap=True), kind="heatmap", unit="short",
        ),
        panel(
            "Since each schedule last succeeded", "Any replica may run it.",
            query(f"time() - max by (exported_job) (worker_cron_last_success_timestamp_seconds{QUEUES} > 0)", "{{exported_job}}"),
            unit="s", limits=(GREEN, (180, RED)),
        ),
    ],
    variables=(NAMESPACES,),
)
