"""What is broken on purpose, and how the platform takes it."""
from .board import *

STARTED = f"process_start_time_seconds{{{OURS}}}"

BOARD = board(
    "seawall-chaos", "Seawall / Chaos",
    "Kills, load and faults on the left, what they do to customers beside them, and how fast the platform recovers. Lines across all panels mark what was done, and when.",
    [
        stat(
            "Stress", "Red while load runs or a fault is active.",
            f"(max(chaos_load_active{{{NAMESPACE}}}) > bool 0) + (max(chaos_fault_active{{{NAMESPACE}}}) > bool 0 or vector(0)) > bool 0",
            maps={"0": ("CALM", GREEN), "1": ("UNDER STRESS", RED)}, limits=(GREEN, (1, RED)),
        ),
        stat(
            "Load", "Loads that run on purpose.", f"max(chaos_load_active{{{NAMESPACE}}})",
            maps={"0": ("OFF", GREEN)}, limits=(GREEN, (1, RED)), runbook="HighLoad",
        ),
        stat(
            "Faults active", "Faults in all replicas together. Each ends by itself when its time is over.",
            f"sum(chaos_fault_active{{{NAMESPACE}}}) or vector(0)", limits=(GREEN, (1, RED)), runbook="ChaosFaultLeftActive",
        ),
        stat("Kills", "Replicas killed on purpose in the time shown.", f"sum(increase(chaos_kills_total{{{NAMESPACE}}}[$__range]))"),
        stat(
            "Active replicas", "Replicas that answer now.", f'sum(up{{{NAMESPACE},job=~"{SERVICES}"}})', limits=(RED, (8, YELLOW), (16, GREEN)),
        ),
        stat(
            "Served", "Share of customers' requests of the last minute without a server error.",
            f"1 - ((sum(rate(http_requests_total{{{CUSTOMERS},{FAILED}}}[1m])) or vector(0)) / sum(rate(http_requests_total{{{CUSTOMERS}}}[1m])))",
            unit="percentunit", limits=(RED, (0.99, YELLOW), (0.999, GREEN)), runbook="APIHighErrorRate",
        ),
        panel(
            "Kills by service", "Each step is a replica killed on purpose.",
            query(f"sum by (service) (increase(chaos_kills_total{{{NAMESPACE}}}[$__range]))", "{{service}}", instant=True), kind="bargauge",
        ),
        panel(
            "Active replicas by service", "A dip is a replica that is away; how long it lasts is the time to recover.",
            query(f"sum by (job) (up{{{OURS}}})", "{{job}}"), runbook="APIServiceDown",
        ),
        panel(
            "Recovery: age of the youngest replica", "Falls to 0 when a replica starts again. One that keeps falling is in a crash loop.",
            query(f"min by (job) (time() - {STARTED})", "{{job}}"), unit="s", runbook="WorkerCrashLooping",
        ),
        panel(
            "Replicas, one by one", "Green answers, red doesn't. A restart faster than a scrape shows in the panel before.",
            query(f"up{{{OURS}}}", EACH), kind="state-timeline", maps={"1": ("up", GREEN), "0": ("down", RED)},
            limits=(RED, (1, GREEN)), width=12, most=1,
        ),
        panel(
            "Faults, one by one", "Which fault is active in which service.",
            query(f"max by (job, fault) (chaos_fault_active{{{NAMESPACE}}})", "{{job}} {{fault}}"), kind="state-timeline",
            maps={"0": ("off", GREEN), "1": ("active", RED)}, limits=(GREEN, (1, RED)), width=12, runbook="ChaosFaultLeftActive",
        ),
        panel(
            "What customers get", "Requests a second by status code.",
            query(f"sum by (status) (rate(http_requests_total{{{CUSTOMERS}}}[$__rate_interval]))", "{{status}}"), unit="reqps", stack=True,
        ),
        panel(
            "How long they wait", "p50 and p99 at the gateway.",
            *(
                query(f"histogram_quantile({q}, sum by (le) (rate(http_request_duration_seconds_bucket{{{CUSTOMERS}}}[$__rate_interval])))", f"p{q * 100:g}")
                for q in (0.5, 0.99)
            ),
            unit="s", limits=(GREEN, (2, RED)), runbook="APIHighLatency",
        ),
        panel(
            "What hides the failures", "Retries, and requests the gateways refuse to stay alive, a second.",
            query(f"sum(rate(client_retries_total{{{NAMESPACE}}}[$__rate_interval]))", "retries"),
            query(f"sum(rate(client_retry_budget_exhausted_total{{{NAMESPACE}}}[$__rate_interval]))", "retries not made, budget spent"),
            query(f"sum(rate(http_requests_shed_total{{{NAMESPACE}}}[$__rate_interval]))", "refused"),
            unit="ops",
        ),
        panel(
            "Backlog", "What waits because somebody is away: events in the outbox, jobs in the queues.",
            query(f"max(order_outbox_unsent{{{NAMESPACE}}})", "outbox"),
            query(f'max by (queue) (worker_queue_depth{{{NAMESPACE},state="waiting"}})', "{{queue}}"), width=24, runbook="OutboxStuck",
        ),
    ],
    annotations=(
        annotation("Kills", f"sum by (service) (increase(chaos_kills_total{{{NAMESPACE}}}[30s])) > 0", "{{service}} killed", "red"),
        annotation("Restarts", f"changes({STARTED}[30s]) > 0", "{{job}} started again", "orange", "{{replica}}{{pod}} {{instance}}"),
        annotation("Load", f"max(chaos_load_active{{{NAMESPACE}}}) > 0", "load", "purple"),
        annotation("Faults", f"max by (job, fault) (chaos_fault_active{{{NAMESPACE}}}) > 0", "{{fault}} in {{job}}", "yellow"),
        annotation(
            "Alerts", f'ALERTS{{{NAMESPACE},alertstate="firing",severity!="none"}}', "{{alertname}}", "dark-red", "{{severity}} {{job}}"
        ),
    ),
    span="now-15m",
)
