"""Alerts as they are written for people, as rules of one profile."""
import re

PROFILES = ("production", "training")
KEYS = {"alert", "team", "severity", "dashboard", "expr", "summary", "description", *PROFILES}


def filled(text, values):
    """`$name` for each name that is known; others, like `$labels`, belong to Prometheus."""
    return re.sub(r"\$([a-z_]+)\b", lambda found: str(values.get(found[1], found[0])), text)


def rule(alert, values, runbooks):
    """One alert of one profile, with the labels and annotations that each one has."""
    labels = alert.get("labels") or {"severity": alert["severity"], "team": alert["team"]}
    made = {"alert": alert["alert"], "expr": filled(alert["expr"], values).strip()}
    if values.get("for", "0s") != "0s":
        made["for"] = values["for"]
    made["labels"] = labels
    made["annotations"] = {
        "summary": filled(alert["summary"], values),
        "description": filled(alert["description"], values),
        "runbook_url": f"{runbooks}/{alert['alert']}.md",
        "dashboard_url": f"/d/{alert['dashboard']}",
    }
    return made


def group(name, alerts, profile, constants, runbooks):
    """The alerts of one file, as a group."""
    rules = []
    for alert in alerts:
        unknown = set(alert) - KEYS
        missing = KEYS - set(alert)
        if unknown or missing:
            raise ValueError(f"{alert.get('alert')}: unknown {sorted(unknown)}, missing {sorted(missing)}")
        rules.append(rule(alert, constants | alert[profile["name"]], runbooks))
    return {"name": name, "interval": profile["interval"], "rules": rules}
