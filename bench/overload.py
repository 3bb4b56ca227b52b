"""Reads the runs of bench/overload, the reports of one round a line, and prints them as a table."""
import json
import statistics
import sys

LEAST_GOODPUT = 0.9
LONGEST_MS = 1000

rounds = [json.loads(line) for line in sys.stdin]
ratios, tails, violations, lost = [], [], 0, 0
print("| offered/s | goodput/s | of the peak | p99 of those accepted | refused with 503 | failed otherwise | never sent |")
print("|---|---|---|---|---|---|---|")
for reports in rounds:
    phases = [report["phases"][0] for report in reports]
    peak = max(phase["orders"]["per_second"] for phase in phases)
    for report, phase in zip(reports, phases):
        orders = phase["orders"]
        causes = orders["failed_by_cause"]
        refused = sum(count for cause, count in causes.items() if "503" in cause)
        others = orders["failed"] - refused
        rate = report["args"]["load"]["rate"]
        offered = f"{rate:,.0f}" if rate else "as many as come back"
        ratio = orders["per_second"] / peak
        tail = orders["latency_ms"]["p99"]
        print(f"| {offered} | {orders['per_second']:,.0f} | {ratio:.2f} | {tail:,.0f} ms | {refused:,} | {others:,} | {phase['dropped']:,} |")
        # Neither taken nor refused; or never offered, so that the load was none.
        lost += others + phase["dropped"]
        if report["audit_error"] or report["audit"]["violations"]:
            violations += 1
            print(f"audit: {report['audit_error'] or report['audit']}", file=sys.stderr)
    ratios.append(ratio)
    tails.append(tail)
goodput, tail = statistics.median(ratios), statistics.median(tails)
print(f"\nat twice the load: goodput {goodput:.2f} of the peak, p99 of those accepted {tail:.0f} ms (medians), {violations} audits with violations, {lost} orders lost or never sent")
sys.exit(goodput < LEAST_GOODPUT or tail > LONGEST_MS or violations > 0 or lost > 0)
