"""How the platform is, at a glance: promises, four golden signals, and each service by use, saturation, errors."""
from .board import *

SLO = f"{{{NAMESPACE}}}"
LATENCY = f"sum by (le) (rate(http_request_duration_seconds_bucket{{{CUSTOMERS}}}[$__rate_interval]))"

BOARD = board(
    "seawall-overview", "Seawall / Overview",
    "Are customers served, is that what was promised, and if not, which service is it?",
    [
        row("What was promised"),
        panel(
            "Error budget left", "Share of the failures that the period allows which nobody has had yet. Below 0 the promise is broken.",
            query(f"min by (sloth_id) (slo:period_error_budget_remaining:ratio{SLO})", "{{sloth_id}}"),
            kind="bargauge", unit="percentunit", limits=(RED, (0, YELLOW), (0.25, GREEN)), most=1, least=None, width=6,
        ),
        panel(
            "Burn rate", "How many times faster than allowed the budget is spent. At 1 it lasts exactly the period; from 14.4 somebody is called.",
            query(f"max by (sloth_id) (slo:current_burn_rate:ratio{SLO})", "{{sloth_id}}"),
            limits=(GREEN, (1, YELLOW), (14.4, RED)), width=6, runbook="GatewayAvailabilityBudgetBurn",
        ),
        panel(
            "Failures in 5 minutes", "Share of what failed: requests, orders over 250 ms, time with a job due for more than 10 s.",
            query(f"max by (sloth_id) (slo:sli_error:ratio_rate5m{SLO})", "{{sloth_id}}"), unit="percentunit", width=6,
        ),
        stat(
            "Alerts firing", "Alerts that somebody should look at; the heartbeat is none.",
            f'count(ALERTS{{{NAMESPACE},alertstate="firing",severity!="none"}}) or vector(0)',
            limits=(GREEN, (1, RED)), width=3, height=8,
        ),
        stat(
            "Replicas away", "Replicas that Prometheus knows and can't reach.",
            f'count(up{{{NAMESPACE},job=~"{SERVICES}"}} == 0) or vector(0)', limits=(GREEN, (1, RED)), width=3, height=8,
            runbook="APIServiceDown",
        ),
        row("Golden signals, at the front door"),
        panel(
            "Traffic", "Requests a second by route. Probes and the operator's are left out.",
            query(f"sum by (route) (rate(http_requests_total{{{CUSTOMERS}}}[$__rate_interval]))", "{{route}}"),
            unit="reqps", stack=True, width=6,
        ),
        panel(
            "Errors", "Share of requests answered with a server error; those refused because of overload are among them.",
            query(
                f"(sum(rate(http_requests_total{{{CUSTOMERS},{FAILED}}}[$__rate_interval])) or vector(0))"
                f" / sum(rate(http_requests_total{{{CUSTOMERS}}}[$__rate_interval]))", "server errors",
            ),
            query(
                f'(sum(rate(http_requests_total{{{CUSTOMERS},status=~"4.."}}[$__rate_interval])) or vector(0))'
                f" / sum(rate(http_requests_total{{{CUSTOMERS}}}[$__rate_interval]))", "client errors",
            ),
            unit="percentunit", limits=(GREEN, (0.001, YELLOW), (0.05, RED)), width=6, runbook="APIHighErrorRate",
        ),
        panel(
            "Latency", "Time to answer. A diamond is one request: its trace opens from there.",
            *(query(f"histogram_quantile({q}, {LATENCY})", f"p{q * 100:g}", exemplar=q == 0.99) for q in (0.5, 0.95, 0.99)),
            unit="s", limits=(GREEN, (0.25, YELLOW), (2, RED)), width=6, runbook="APIHighLatency",
        ),
        panel(
            "Saturation", "Requests under way as a share of what a gateway takes on; at 100 % it refuses.",
            query(
                f"max by (job, instance) (http_requests_in_flight{{{NAMESPACE},job=\"gateway\"}} / http_requests_in_flight_limit{{{NAMESPACE}}})",
                "in flight {{instance}}",
            ),
            query(f"sum(rate(http_requests_shed_total{{{NAMESPACE}}}[$__rate_interval]))", "refused a second"),
            unit="percentunit", limits=(GREEN, (0.8, RED)), width=6, runbook="HighLoad",
        ),
        row("Each service: used, saturated, failing"),
        panel(
            "CPU", "Share of a core that the busiest replica uses. A service works on one thread.",
            query(f"max by (job) (rate(process_cpu_seconds_total{{{OURS}}}[$__rate_interval]))", "{{job}}"),
            unit="percentunit", limits=(GREEN, (0.8, RED)), runbook="HighCPU",
        ),
        panel(
            "Requests under way", "Of all replicas. Grows when a service, or one that it waits for, gets slow.",
            query(f"sum by (job) (http_requests_in_flight{{{OURS}}})", "{{job}}"),
        ),
        panel(
            "Server errors", "Answers with a server error, a second. The first service in the chain order, inventory is often the cause.",
            query(f"sum by (job) (rate(http_requests_total{{{OURS},{FAILED}}}[$__rate_interval])) or sum by (job) (up{{{OURS}}}) * 0", "{{job}}"),
            unit="reqps", runbook="ServiceHighErrorRate",
        ),
        panel(
            "Latency, p95", "Of each service's own answers.",
            query(
                f"histogram_quantile(0.95, sum by (job, le) (rate(http_request_duration_seconds_bucket{{{OURS}}}[$__rate_interval])))", "{{job}}",
                exemplar=True,
            ),
            unit="s", runbook="ServiceHighLatency",
        ),
        panel(
            "Calls between services that failed", "After all retries: server errors, timeouts, broken connections, and calls not even made. Callers on the left.",
            query(
                f'sum by (job, upstream) (rate(client_requests_total{{{OURS},outcome!~"ok|client_error"}}[$__rate_interval]))', "{{job}} → {{upstream}}"
            ),
            unit="reqps",
        ),
        panel(
            "Retries, and circuits open", "A retry that helps costs the user nothing. An open circuit is a replica that callers leave alone.",
            query(f"sum by (upstream) (rate(client_retries_total{{{OURS}}}[$__rate_interval]))", "retries of {{upstream}} a second"),
            query(f"sum by (upstream) (circuit_breaker_state{{{OURS}}} == bool 2)", "open to {{upstream}}"),
            runbook="CircuitBreakerOpen",
        ),
        panel(
            "Errors logged", "Lines of level error, a second; the dashboard Logs has their texts.",
            query(f'sum by (job) (rate(log_events_total{{{OURS},level="error"}}[$__rate_interval]))', "{{job}}"), unit="cps",
        ),
        panel(
            "Logins", "Attempts a second by outcome. Many refused ones are somebody who tries passwords.",
            query(
                f'sum by (action, outcome) (rate(auth_attempts_total{{{NAMESPACE}}}[$__rate_interval])) > 0', "{{action}} {{outcome}}"
            ),
            unit="cps", stack=True,
        ),
        panel(
            "Versions", "Which version runs in how many replicas; two of one service are a rollout, or one that is stuck.",
            query(f"count by (job, version, revision) (build_info{{{OURS}}})", "{{job}} {{version}} {{revision}}"),
            kind="bargauge", runbook="RolloutStuck",
        ),
    ],
)
