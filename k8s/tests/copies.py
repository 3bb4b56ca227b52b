"""Files below k8s/ that say what a file elsewhere says: Kustomize reads nothing outside the folder it renders.

`write` makes them, `findings` names those that differ from their source.
"""
import json
from pathlib import Path
from urllib.parse import urlsplit

import yaml

K8S = Path(__file__).resolve().parent.parent
ROOT = K8S.parent
MONITORING = ROOT / "monitoring"
NOTE = "# Written by `ci/k8s --update` from {}; change it there.\n"
# What Grafana asks in a cluster.
BROUGHT = {"prometheus", "loki"}
# What etcd takes as one object, and some room.
LARGEST = 900_000


class Text(str):
    """Shown as a block, as a person would write it."""


yaml.SafeDumper.add_representer(Text, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


def plain(source, comment="#"):
    return NOTE.format(source).replace("#", comment, 1) + (ROOT / source).read_text()


def config_map(name, data, labels=None):
    assert sum(map(len, data.values())) < LARGEST, f"ConfigMap {name} is too large for a cluster: make it several"
    metadata = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def dump(source, *objects):
    head = NOTE.format(source) + "# yamllint disable\n"
    return head + yaml.safe_dump_all(objects, sort_keys=False, width=1000)


def rules():
    """Those with the real windows, where there are two profiles."""
    folder = MONITORING / "prometheus/rules"
    if (folder / "production").is_dir():
        folder /= "production"
    return folder, {path.name: Text(path.read_text()) for path in sorted(folder.glob("*.yml"))}


def dashboards():
    found = {}
    for path in sorted((MONITORING / "grafana/dashboards").glob("**/*.json")):
        # Short, since a ConfigMap is small and a dashboard is not.
        found[path.name] = json.dumps(json.loads(path.read_text()), separators=(",", ":"))
    return found


def datasources(source="monitoring/grafana/provisioning/datasources/datasources.yml"):
    """Those that a component brings."""
    told = yaml.safe_load((ROOT / source).read_text())
    told["datasources"] = [each for each in told["datasources"] if urlsplit(each["url"]).hostname in BROUGHT]
    return dump(source, told)


def copies():
    """Path below k8s/ and its text."""
    folder, alerts = rules()
    plain_folder = "components/monitoring-plain"
    boards = dashboards()
    each = [
        config_map(f"dashboard-{name.removesuffix('.json')}", {name: text}, {"grafana_dashboard": "1"})
        for name, text in boards.items()
    ]
    alertmanager = "monitoring/alertmanager/alertmanager.yml"
    told = {"alertmanager.yml": Text((ROOT / alertmanager).read_text())}
    source = "monitoring/grafana/dashboards"
    return {
        "base/postgres/databases.sql": plain("compose/databases.sql", "--"),
        "components/loki/loki.yml": plain("monitoring/loki/loki.yml"),
        f"{plain_folder}/datasources.yml": datasources(),
        f"{plain_folder}/rules.yaml": dump(folder.relative_to(ROOT), config_map("prometheus-rules", alerts)),
        f"{plain_folder}/alertmanager-config.yaml": dump(alertmanager, config_map("alertmanager", told)),
        f"{plain_folder}/dashboards.yaml": dump(source, config_map("grafana-dashboards", boards)),
        "components/monitoring/dashboards.yaml": dump(
            source, {"apiVersion": "v1", "kind": "ConfigMapList", "items": each}
        ),
    }


def write():
    for name, text in copies().items():
        (K8S / name).write_text(text)


def findings(texts=None):
    for name, text in (texts or copies()).items():
        path = K8S / name
        if not path.exists() or path.read_text() != text:
            yield "copies", f"k8s/{name} doesn't say what its source says; run ci/k8s --update"
