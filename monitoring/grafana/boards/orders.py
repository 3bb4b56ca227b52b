"""The business: orders, what becomes of them, and what they need."""
from .board import *

ORDERS = f"order_requests_total{{{NAMESPACE}}}"

BOARD = board(
    "seawall-orders", "Seawall / Orders",
    "Orders placed, how fast, what became of them, and whether stock, mails and events keep up.",
    [
        row("Orders"),
        panel(
            "Orders a second", "Asked for, by what became of them.",
            query(f"sum by (status) (rate({ORDERS}[$__rate_interval]))", "{{status}}"), unit="ops", stack=True,
        ),
        panel(
            "Orders by status", "In the time shown. `replayed` is a client that asked twice and got the same order; `error` is a promise not kept.",
            query(f"sum by (status) (increase({ORDERS}[$__range]))", "{{status}}", instant=True), kind="bargauge", width=4,
        ),
        panel(
            "Time to place an order", "p95 in the order service, and at the gateway as a customer sees it. 99 % must be under 250 ms.",
            query(
                f"histogram_quantile(0.95, sum by (le) (rate(order_request_duration_seconds_bucket{{{NAMESPACE}}}[$__rate_interval])))", "order",
                exemplar=True,
            ),
            query(
                f'histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{{{NAMESPACE},job="gateway",route="/api/orders",method="POST"}}[$__rate_interval])))',
                "gateway", exemplar=True,
            ),
            unit="s", limits=(GREEN, (0.25, RED)), runbook="OrderLatencyBudgetBurn",
        ),
        panel(
            "Restarts", "Processes that were replaced in the time shown: by a crash, a kill or a rollout; in a cluster also as the kubelet counts them.",
            query(f"sum by (job) (changes(process_start_time_seconds{{{OURS}}}[$__range]))", "{{job}}", instant=True),
            query(
                f'sum by (container) (increase(kube_pod_container_status_restarts_total{{{NAMESPACE},container=~"$service"}}[$__range]))',
                "{{container}} (kubelet)", instant=True,
            ),
            kind="bargauge", limits=(GREEN, (1, YELLOW), (5, RED)), width=4, runbook="PodRestarts",
        ),
        panel(
            "Sold by product", "Confirmed orders in the time shown.",
            query(f'sum by (product_id) (increase(order_requests_total{{{NAMESPACE},status="confirmed"}}[$__range])) > 0', "{{product_id}}", instant=True),
            kind="bargauge",
        ),
        stat("Confirmed", "Orders confirmed in the time shown.", f'sum(increase(order_requests_total{{{NAMESPACE},status="confirmed"}}[$__range]))', height=8),
        panel(
            "Asked for at the gateway", "Requests to place an order, by the status code a customer got.",
            query(
                f'sum by (status) (rate(http_requests_total{{{NAMESPACE},job="gateway",route="/api/orders",method="POST"}}[$__rate_interval]))', "{{status}}"
            ),
            unit="reqps", stack=True, width=12,
        ),
        row("What orders need"),
        panel(
            "Stock", "Pieces left of the products that have fewest.",
            query(f"bottomk(10, max by (product_id) (inventory_stock{{{NAMESPACE}}}))", "{{product_id}}"),
        ),
        panel(
            "Stock taken and given back", "Operations of inventory a second, by outcome.",
            query(f"sum by (operation, outcome) (rate(inventory_requests_total{{{NAMESPACE}}}[$__rate_interval])) > 0", "{{operation}} {{outcome}}"),
            unit="ops",
        ),
        panel(
            "Holds", "Pieces held for orders that aren't known yet. They end with a sale, a cancellation, or the sweeper after two minutes.",
            query(f"max by (namespace) (inventory_holds{{{NAMESPACE}}})", "holds {{namespace}}"),
        ),
        panel(
            "Events not delivered", "Rows in the outbox that a consumer has yet to acknowledge. They are safe there, but sales and mails wait.",
            query(f"max by (namespace) (order_outbox_unsent{{{NAMESPACE}}})", "unsent {{namespace}}"), runbook="OutboxStuck",
        ),
        panel(
            "Oldest of these events", "For how long it has waited.",
            query(f"max by (namespace) (order_outbox_oldest_seconds{{{NAMESPACE}}})", "oldest {{namespace}}"),
            unit="s", limits=(GREEN, (20, YELLOW), (60, RED)), runbook="OutboxStuck",
        ),
        panel(
            "Mails", "Tries to deliver a second. `retried` comes again with growing pauses, `dead` was given up and can be replayed.",
            query(f"sum by (channel, outcome) (rate(notifications_total{{{NAMESPACE}}}[$__rate_interval]))", "{{channel}} {{outcome}}"),
            unit="ops", stack=True, runbook="NotificationsFailing",
        ),
        panel(
            "Pictures", "Uploads a second by outcome.",
            query(f"sum by (outcome) (rate(image_uploads_total{{{NAMESPACE}}}[$__rate_interval]))", "{{outcome}}"), unit="ops", stack=True, width=12,
        ),
        panel(
            "Time for a picture", "To decode, scale and encode one, p95.",
            query(f"histogram_quantile(0.95, sum by (le) (rate(image_processing_seconds_bucket{{{NAMESPACE}}}[$__rate_interval])))", "p95"),
            unit="s", width=12,
        ),
    ],
)
