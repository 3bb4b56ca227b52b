"""Tests of rules as they are written for people, as promtool reads them.

A case has phases: before, the fault, after. Each series says what it does in each of them:
  12/s       a counter, or a gauge, that grows by 12 a second; it stays where it is with 0/s
  12/s anew  the same from 0: its process has started again
  =12        a gauge at 12
  steps 20s  a gauge that changes every 20 s, as the start time of a process that dies so often
  none       it is not there; gone, if it was
The fault is the second phase, or `fault: N` counted from 0. `step` is the time between two samples, `every` the
one between two evaluations; without them both are the profile's scrape interval.
"""
import re

import yaml

from . import durations

STEP = {"production": 15, "training": 5}


def points(what, count, step, last):
    """One phase of a series in promtool's notation, and the value it ends with."""
    if what == "none":
        return ("stale " + f"_x{count - 1}" if last is not None else f"_x{count}"), None
    if found := re.fullmatch(r"=(-?[\d.e]+)", what):
        return f"{found[1]}+0x{count - 1}", float(found[1])
    if found := re.fullmatch(r"(-?[\d.]+)/s( anew)?", what):
        grown = float(found[1]) * step
        # The first sample of a new process may already hold something, but what it was before nobody knows.
        first = 0 if found[2] or last is None else last + grown
        # Not `a+bxn`, which adds up what fractions are rounded by until a counter seems to fall.
        values = [round(first + grown * at, 6) for at in range(count)]
        return " ".join(f"{value:.12g}" for value in values), values[-1]
    if found := re.fullmatch(r"steps (\w+)", what):
        every = max(durations.seconds(found[1]) // step, 1)
        values = [(last or 0) + 1 + at // every for at in range(count)]
        return " ".join(f"{value:g}" for value in values), values[-1]
    raise ValueError(f"{what!r} is nothing that a series does")


def series(name, does, phases, step):
    parts, last = [], None
    for what, length in zip(does, phases, strict=True):
        part, last = points(str(what), length // step, step, last)
        parts.append(part)
    return {"series": name, "values": " ".join(parts)}


def selector(labels, **more):
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted({**labels, **more}.items())) + "}"


def asked(expr, at, answers):
    return {"expr": expr, "eval_time": f"{at}s", "exp_samples": answers}


def expectations(case, times, starts, step):
    """What Prometheus is asked, and what it must answer."""
    labels = {"alertname": case["alert"], "alertstate": "firing", **case.get("labels", {})}
    firing = "ALERTS" + selector({k: labels[k] for k in ("alertname", "alertstate", "severity") if k in labels})
    fault, after = (starts[case.get("fault", 1) + index] for index in (0, 1))
    end = starts[-1]
    if case.get("fires") == "never":
        yield asked(f"count_over_time({firing}[{end}s])", end, [])
        return
    if "fires" not in times:
        return
    if "quiet" in times:
        before = fault + times["quiet"] - step
        yield asked(f"count_over_time({firing}[{before}s])", before, [])
    answers = [{"labels": "ALERTS" + selector(each), "value": 1} for each in
               ({**labels, **other} for other in case.get("also", [{}]))]
    yield asked(firing, fault + times["fires"], answers)
    if "clears" in times:
        yield asked(firing, after - step, answers)
        yield asked(firing, after + times["clears"], [])


def seconds(times):
    return {name: durations.seconds(str(value)) for name, value in times.items() if name not in ("phases", "holds", "words", "step", "every")}


def test(case, profile, urls):
    """One case as a test of promtool."""
    mine = case[profile]
    step = durations.seconds(mine.get("step", f"{STEP[profile]}s"))
    phases = [durations.seconds(text) for text in mine["phases"]]
    starts = [sum(phases[:index]) for index in range(len(phases) + 1)]
    made = {"interval": f"{step}s", "name": f"{case.get('alert', case.get('group'))}: {case['case']} ({profile})"}
    made["input_series"] = [series(name, does, phases, step) for name, does in case["series"].items()]
    made["promql_expr_test"] = []
    if "alert" in case:
        made["promql_expr_test"] += expectations(case, seconds(mine), starts, step)
    for at, exprs in mine.get("holds", {}).items():
        when = starts[case.get("fault", 1)] + durations.seconds(at)
        made["promql_expr_test"] += [asked(f"count({expr})", when, [{"labels": "{}", "value": 1}]) for expr in exprs]
    if says := case.get("says"):
        when = starts[case.get("fault", 1)] + seconds(mine)["fires"]
        answers = []
        for labels, texts in [(case["labels"], says), *((b["labels"], b["says"]) for b in case.get("beside", ()))]:
            told = {name: text.format(**mine.get("words", {})) for name, text in texts.items()} | urls(case["alert"])
            answers.append({"exp_labels": labels, "exp_annotations": told})
        made["alert_rule_test"] = [{"eval_time": f"{when}s", "alertname": case["alert"], "exp_alerts": answers}]
    return step, made


def rules(groups, step):
    """The same rules, evaluated as often as the case has samples."""
    return {"groups": [group | {"interval": f"{step}s"} for group in groups]}


def write(folder, groups, cases, profile, urls):
    """Files for promtool; a path for each. A case meets the group of its alert alone, which is much faster."""
    wanted = {}
    for case in cases:
        if profile in case:
            step, made = test(case, profile, urls)
            every = durations.seconds(case[profile].get("every", f"{step}s"))
            for group in groups:
                names = {group["name"], *(rule.get("alert") for rule in group["rules"])}
                if names & {case.get("alert", case.get("group"))}:
                    wanted.setdefault((group["name"], every), (group, []))[1].append(made)
    for (name, every), (group, tests) in wanted.items():
        (folder / f"rules-{name}-{every}.yml").write_text(yaml.safe_dump(rules([group], every)))
        file = folder / f"tests-{name}-{every}.yml"
        file.write_text(yaml.safe_dump({
            "rule_files": [f"rules-{name}-{every}.yml"], "evaluation_interval": f"{every}s", "tests": tests,
        }))
        yield file
