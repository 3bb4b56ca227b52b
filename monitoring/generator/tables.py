"""The tables that people read: faults with what is seen of them, and the index of runbooks."""
import json

NOTE = "<!-- Written by monitoring/generate from {}; change it there. -->\n"
FAULTS = """# Alerts

Every way to break the shop, what moves, who says so, and what to do. "Within" is counted from the fault to
the firing alert, in the training profile, which `seawall up` and Docker Compose use: the same alerts as in
production with short windows, scraped every 5 s. Where the runbooks are: [index](runbooks/README.md).

| fault | where | how | what moves | alert | within | drill |
|---|---|---|---|---|---|---|
"""
# The first line tells the check of commands that they need a running platform.
INDEX = """
<!-- commands: running -->
# Runbooks

One for each alert. Every alert has a link to its own. How an incident is led:
[incident response](../incident-response.md). Which fault raises which alert: [alerts](../alerts.md).

A page (critical) wants somebody now, a ticket (warning) wants somebody today. Where the commands say
`$TOKEN`, log in as operator first:

```sh
TOKEN=$(curl -s localhost:8080/api/auth/login -H 'content-type: application/json' -d '{"username":"operator","password":"PASSWORD"}' | cut -d '"' -f 4)
```

In a cluster, set `NS` to the namespace (`seawall-dev`, `seawall-uat`, `seawall-prod`) and reach the gateway with
`kubectl -n $NS port-forward service/gateway 8080:8080`.
"""
TITLES = {
    "slos": "Promises",
    "service-health": "Service health",
    "performance": "Performance",
    "infrastructure": "Infrastructure",
    "business": "Business",
}


def cell(text):
    return text.replace("|", "\\|")


def how(row):
    """What is done, short."""
    steps = []
    if load := row.get("load"):
        if "kind" in load:
            steps.append(f"{load['rate']} {load['kind']} a second")
        else:
            steps += [f"`{call['method']} {call['path']}` {call['rate']} times a second" for call in load["requests"]]
    for call in row.get("inject", ()):
        body = f" `{json.dumps(call['body'], separators=(',', ':'))}`" if "body" in call else ""
        again = f", every {call['every']} s" if "every" in call else ""
        times = f", {call['times']} times" if "times" in call else ""
        steps.append(f"`{call['method']} {call['path']}`{body}{times}{again}")
    for commands in row.get("run", {}).values():
        steps += [f"`{command}`" for command in commands]
    return "; ".join(steps)


def faults(rows):
    made = NOTE.format("monitoring/faults.yml") + FAULTS
    for row in rows:
        name = row["alert"]
        alert = f"[{name}](runbooks/{name}.md), {row['severity']}" if name else "none that is critical"
        within = f"{row['fires_within']} s" if name else "never"
        drill = f"`{row['drill']}`" if row["drill"] else ""
        cells = (row["fault"], ", ".join(row["environments"]), how(row), f"`{row['metric']}`", alert, within, drill)
        made += "| " + " | ".join(cell(each) for each in cells) + " |\n"
    return made


def plain(text):
    """A summary without the labels that only a firing alert has."""
    for label in ("namespace", "job", "queue", "channel", "upstream", "deployment", "name"):
        text = text.replace(f" in {{{{ $labels.{label} }}}}", "") if label == "namespace" else text.replace(
            f"{{{{ $labels.{label} }}}}", {"job": "a service", "name": "of a domain"}.get(label, f"a {label}")
        )
    return text


def index(files, load, slos):
    made = NOTE.format("the alerts") + INDEX
    found = {"slos": [(s["alert"], "critical, warning", s["team"], s["says"]) for s in slos]}
    for file in files:
        found[file] = [(a["alert"], a["severity"], a["team"], plain(a["summary"])) for a in load(file)]
    for file, rows in found.items():
        made += f"\n## {TITLES[file]}\n\n| alert | severity | team | says |\n|---|---|---|---|\n"
        for name, severity, team, says in dict.fromkeys(rows):
            made += f"| [{name}]({name}.md) | {severity} | {team} | {cell(says)} |\n"
    return made
