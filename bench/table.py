"""Reads the runs of bench/orders, one JSON object a line, and prints medians and ratios."""
import json
import statistics
import sys

runs = [json.loads(line) for line in sys.stdin]


def spread(values):
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


print("| products | pgbench/s | orders/s | ratio | own CPU per order | order + inventory |")
print("|---|---|---|---|---|---|")
for products in sorted({run["products"] for run in runs}):
    mine = [run for run in runs if run["products"] == products]
    bare = [run["pgbench"] for run in mine]
    shop = [run["orders"] for run in mine]
    cpu = [run["cpu"]["cpu_micros"] for run in mine]
    by_service = [run["cpu"]["cpu_micros_by_service"] for run in mine]
    core = [services["order"] + services["inventory"] for services in by_service]
    ratio = statistics.median(shop) / statistics.median(bare)
    print(f"| {products} | {spread(bare)} | {spread(shop)} | {ratio:.2f} | {spread(cpu)} µs | {spread(core)} µs |")
last = runs[-1]["cpu"]["cpu_micros_by_service"]
print("\nlast run, µs per order:", ", ".join(f"{name} {micros:.0f}" for name, micros in sorted(last.items())))
