"""What the replicas say."""
from .board import *

# Labels are few: namespace, service, level. The rest is in the lines, which are JSON.
CHOSEN = '{namespace=~"$namespace",service=~"$service"}'
FOUND = f"{CHOSEN} |= `$search`"

SEARCH = {
    "type": "textbox", "name": "search", "label": "Contains", "hide": 0, "query": "", "skipUrlSync": False,
    "current": {"text": "", "value": ""}, "options": [{"text": "", "value": "", "selected": True}],
}

BOARD = board(
    "seawall-logs", "Seawall / Logs",
    "Lines of all replicas. A request id or trace id in Contains gives everything that was logged about one request.",
    [
        panel(
            "Lines by level", "Lines a second.",
            query(f"sum by (level) (rate({FOUND} [$__auto]))", "{{level}}", source=LOKI), unit="cps", stack=True, width=12, height=7,
        ),
        panel(
            "Warnings and errors by service", "Lines a second.",
            query(f'sum by (service) (rate({{namespace=~"$namespace",service=~"$service",level=~"warn|error"}} |= `$search` [$__auto]))', "{{service}}", source=LOKI),
            unit="cps", stack=True, width=12, height=7,
        ),
        panel(
            "Slowest requests", "Requests of the time shown by route: the longest time any took.",
            query(
                f"topk(10, max by (service, route) (max_over_time({FOUND} | json route, ms | route != `` | unwrap ms [$__range])))",
                "{{service}} {{route}}", instant=True, source=LOKI,
            ),
            kind="bargauge", unit="ms", width=24, height=8,
        ),
        panel("Warnings and errors", "Newest first. `trace_id` leads to the trace.", query(f'{{namespace=~"$namespace",service=~"$service",level=~"warn|error"}} |= `$search`', source=LOKI), kind="logs", width=24, height=9),
        panel("Lines", "Newest first.", query(FOUND, source=LOKI), kind="logs", width=24, height=12),
    ],
    variables=(
        variable("namespace", "Namespace", "label_values(namespace)", source=LOKI, everything=".+"),
        variable("service", "Service", 'label_values({namespace=~"$namespace"}, service)', source=LOKI, everything=".+"),
        SEARCH,
    ),
)
