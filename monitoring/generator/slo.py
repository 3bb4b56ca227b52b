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


def implied(burn, others):
    """Whether another pair of windows fires whenever this one does; so for shares of time, whose windows weigh alike."""
    spent = [burn["factor"] * durations.seconds(burn[side]) for side in ("short", "long")]
    for other in others:
        theirs = [other["factor"] * durations.seconds(other[side]) for side in ("short", "long")]
        longer = durations.seconds(other["long"]) > durations.seconds(burn["long"])
        if longer and other["severity"] == burn["severity"] and all(a >= b for a, b in zip(spent, theirs)):
            return True
    return False


def burns(source, profile, slo=None):
    for burn in source["burns"]:
        if not (slo and "bad_time" in slo and implied(burn, source["burns"])):
            yield burn | {side: scaled(burn[side], profile) for side in ("short", "long")}


def windows(source, profile):
    """Every window that is asked for, the shortest first."""
    asked = {burn[side] for burn in burns(source, profile) for side in ("short", "long")}
    return sorted({*asked, *profile.get("also", ())}, key=durations.seconds)


def rate(series, window):
    return f"sum by (namespace) (rate({series}[{window}]))"


def mine(slo, record):
    return f"{record}{{sloth_id=\"{slo['name']}\"}}"


def indented(text, by=2):
    return "\n".join(" " * by + line for line in text.splitlines())


def measures(slo, source, profile):
    """The share of failures in each window. No traffic is no sample: a NaN would spoil every average it gets into.
    Where nothing failed yet, there may be no series that says so."""
    yield from slo.get("records", ())
    for window in windows(source, profile):
        labels = names(slo) | {"sloth_window": window}
        total, bad = (f"slo:sli_{kind}:rate{window}" for kind in ("total", "bad"))
        if "bad_time" in slo:
            yield {"record": RATIO + window, "expr": f"avg_over_time({slo['bad_time']}[{window}])", "labels": labels}
            continue
        failing = rate(slo["bad"], window) if "bad" in slo else f"{mine(slo, total)}\n- on (namespace)\n{rate(slo['good'], window)}"
        some = f"(\n  {mine(slo, bad)}\n  or on (namespace)\n  {mine(slo, total)} * 0\n)" if "bad" in slo else mine(slo, bad)
        ratio = f"{some}\n/ on (namespace)\n({mine(slo, total)} > 0)"
        for record, expr in ((total, rate(slo["total"], window)), (bad, failing), (RATIO + window, ratio)):
            yield {"record": record, "expr": expr, "labels": labels}


def burning(slo, severity, source, profile):
    """The expression of one severity: any of its pairs of windows, and enough failures to matter."""
    pairs, longest = [], []
    for burn in burns(source, profile, slo):
        if burn["severity"] != severity:
            continue
        limit = f"({burn['factor']} * {budget(slo)})"
        sides = [f"{mine(slo, RATIO + burn[side])} > {limit}" for side in ("short", "long")]
        pairs.append("(\n" + indented("\nand on (namespace)\n".join(sides)) + "\n)")
        longest.append(burn["long"])
    expr = f"max by (namespace) (\n{indented(f'{chr(10)}or on (namespace){chr(10)}'.join(pairs))}\n)"
    if "bad_time" in slo:
        return expr
    record, length = mine(slo, f"slo:sli_bad:rate{longest[-1]}"), durations.seconds(longest[-1])
    return f"{expr}\nand on (namespace)\n{record} * {length} >= {source['least']}"


def alerts(slo, source, profile):
    for severity, kind in (("critical", "page"), ("warning", "ticket")):
        yield {
            "alert": slo["alert"],
            "expr": burning(slo, severity, source, profile),
            "labels": {"severity": severity, "team": slo["team"], "slo": slo["name"], "sloth_severity": kind},
            "summary": f"{slo['name']}: the error budget in {{{{ $labels.namespace }}}} is spent too fast",
            "description": f"{{{{ $value | humanizePercentage }}}} of late did not. Promised are {slo['objective']} %: "
            f"{slo['says'][0].lower()}{slo['says'][1:]}.",
            "dashboard": slo["dashboard"],
        }


def budgets(slo, source, profile):
    """What was promised, and what is left of it."""
    labels, short = names(slo), mine(slo, RATIO + windows(source, profile)[0])
    period = durations.seconds(source["period"]) // profile["speed"]
    for record, expr in (
        ("slo:objective:ratio", f"vector({round(slo['objective'] / 100, 6)})"),
        ("slo:error_budget:ratio", f"vector({budget(slo)})"),
        ("slo:time_period:days", f"vector({period / 86400:g})"),
        ("slo:current_burn_rate:ratio", f"{short} / {budget(slo)}"),
        ("slo:period_burn_rate:ratio", f"avg_over_time({short}[{durations.text(period)}]) / {budget(slo)}"),
        ("slo:period_error_budget_remaining:ratio", f"1 - {mine(slo, 'slo:period_burn_rate:ratio')}"),
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
