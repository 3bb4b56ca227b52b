"""SLOs as recording rules and as alerts that fire when the error budget burns too fast."""
from . import durations

RATIO = "slo:sli_error:ratio_rate"


def names(slo):
    return {"sloth_id": slo["name"], "sloth_service": slo["service"], "sloth_slo": slo["slo"]}


def budget(slo):
    return round(1 - slo["objective"] / 100, 6)


def scaled(duration, profile):
    """A duration of production in this profile."""
    return durations.text(max(durations.seconds(duration) // profile["speed"], durations.seconds(profile["shortest"])))


def burns(source, profile):
    for burn in source["burns"]:
        yield burn | {side: scaled(burn[side], profile) for side in ("short", "long")}


def windows(source, profile):
    """Every window that is asked for, the shortest first."""
    asked = {burn[side] for burn in burns(source, profile) for side in ("short", "long")}
    return sorted({*asked, *profile.get("also", ())}, key=durations.seconds)


def over(series, window, function="rate"):
    return f"sum by (namespace) ({function}({series}[{window}]))"


def failing(slo, window, function="rate"):
    """How many were bad; where none was, there may be no series that says so."""
    if "good" in slo:
        return f"{over(slo['total'], window, function)}\n-\n{over(slo['good'], window, function)}"
    return f"{over(slo['bad'], window, function)}\nor\n0 * {over(slo['total'], window, function)}"


def indented(text, by=2):
    return "\n".join(" " * by + line for line in text.splitlines())


def ratio(slo, window):
    """No traffic is no sample: a NaN would spoil every average it gets into."""
    if "bad_time" in slo:
        return f"avg_over_time({slo['bad_time']}[{window}])"
    return f"(\n{indented(failing(slo, window))}\n)\n/\n({over(slo['total'], window)} > 0)"


def measures(slo, source, profile):
    """The share of failures in each window."""
    yield from slo.get("records", ())
    for window in windows(source, profile):
        labels = names(slo) | {"sloth_window": window}
        yield {"record": RATIO + window, "expr": ratio(slo, window), "labels": labels}


def burning(slo, severity, source, profile):
    """The expression of one severity: any of its pairs of windows, and enough failures to matter."""
    pairs, longest = [], []
    for burn in burns(source, profile):
        if burn["severity"] != severity:
            continue
        limit = f"({burn['factor']} * {budget(slo)})"
        sides = [
            f"max by (namespace) ({RATIO}{burn[side]}{{sloth_id=\"{slo['name']}\"}}) > {limit}"
            for side in ("short", "long")
        ]
        pairs.append("(\n" + indented("\nand\n".join(sides)) + "\n)")
        longest.append(burn["long"])
    expr = "\nor\n".join(pairs)
    if "bad_time" in slo:
        return expr
    enough = f"(\n{indented(failing(slo, longest[-1], 'increase'))}\n) >= {source['least']}"
    return f"(\n{indented(expr)}\n)\nand on (namespace)\n{enough}"


def alerts(slo, source, profile):
    for severity, kind in (("critical", "page"), ("warning", "ticket")):
        yield {
            "alert": slo["alert"],
            "expr": burning(slo, severity, source, profile),
            "labels": {"severity": severity, "team": slo["team"], "slo": slo["name"], "sloth_severity": kind},
            "summary": f"{slo['name']}: the error budget in {{{{ $labels.namespace }}}} is spent too fast",
            "description": f"{{{{ $value | humanizePercentage }}}} failed in the shortest window; "
            f"{slo['objective']} % must not. {slo['says']}.",
            "dashboard": slo["dashboard"],
        }


def budgets(slo, source, profile):
    """What was promised, and what is left of it."""
    labels, mine = names(slo), f'{{sloth_id="{slo["name"]}"}}'
    short = windows(source, profile)[0]
    period = durations.seconds(source["period"]) // profile["speed"]
    average = f"avg_over_time({RATIO}{short}{mine}[{durations.text(period)}])"
    for record, expr in (
        ("slo:objective:ratio", f"vector({round(slo['objective'] / 100, 6)})"),
        ("slo:error_budget:ratio", f"vector({budget(slo)})"),
        ("slo:time_period:days", f"vector({period / 86400:g})"),
        ("slo:current_burn_rate:ratio", f"max by (namespace) ({RATIO}{short}{mine}) / {budget(slo)}"),
        ("slo:period_burn_rate:ratio", f"max by (namespace) ({average}) / {budget(slo)}"),
        (
            "slo:period_error_budget_remaining:ratio",
            f"1 - max by (namespace) (slo:period_burn_rate:ratio{mine})",
        ),
        ("sloth_slo_info", "vector(1)"),
    ):
        extra = {"sloth_objective": f"{slo['objective']:g}"} if record == "sloth_slo_info" else {}
        yield {"record": record, "expr": expr, "labels": labels | extra}


def groups(source, name):
    """The groups of one profile. What an alert asks for is recorded before it, in its own group."""
    profile = source["profiles"][name]
    for slo in source["slos"]:
        rules = [*measures(slo, source, profile), *alerts(slo, source, profile)]
        yield {"name": f"slo-{slo['name']}", "interval": profile["interval"], "rules": rules}
    left = [rule for slo in source["slos"] for rule in budgets(slo, source, profile)]
    yield {"name": "slo-budgets", "interval": profile["slow_interval"], "rules": left}
