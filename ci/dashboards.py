"""The part of ci/dashboards that thinks: Prometheus' files, the traffic, and what each panel shows of it."""
import json
import math
import os
import re
import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DASHBOARDS = ROOT / "monitoring/grafana/dashboards"
LIMIT = 180

# Metrics that nothing here can show, and why. What asks for one of them may be empty.
EXPLAINED = {
    r"kube_\w+|container_\w+": "Kubernetes says it",
    r"certmanager_\w+": "cert-manager says it, in a cluster",
    r"chaos_fault_active": "a replica that has had a fault says it",
}
# Labels that are there in one environment alone.
ELSEWHERE = {"pod", "replica"}
VARIABLES = {"$__rate_interval": "30s", "$__interval": "5s", "$__range": "2m"}
WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


# Prometheus' files

def replicas(data):
    """Who runs, as the supervisor tells it."""
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(str(data / "control.sock"))
        control.sendall(b'{"do":"list"}\n')
        answer = b"".join(iter(lambda: control.recv(65536), b""))
    return json.loads(answer)["replicas"]


def configure(work, prometheus, postgres, redis):
    """What `seawall up` would use, with the exporters, and faster."""
    folder = work / "prometheus"
    shutil.copytree(ROOT / "monitoring/prometheus/rules/training", folder / "rules")
    targets = [
        {
            "targets": [each["ops"].removeprefix("http://")],
            "labels": {"job": each["service"], "replica": each["name"], "namespace": "local"},
        }
        for each in replicas(work / "data")
    ]
    (folder / "targets.json").write_text(json.dumps(targets))
    config = (ROOT / "monitoring/prometheus/local.yml").read_text()
    config = config.replace("scrape_interval: 5s", "scrape_interval: 2s").replace("PROMETHEUS_PORT", prometheus)
    # Nobody listens for alerts, or is looked at for them.
    config = re.sub(r"\n  - job_name: alertmanager\n(    .*\n?| *\n?)*", "\n", config).replace("ALERTMANAGER_PORT", "1")
    for job, port in (("postgres", postgres), ("redis", redis)):
        config += f'\n  - job_name: {job}\n    static_configs:\n      - {{targets: ["127.0.0.1:{port}"], labels: {{namespace: local}}}}\n'
    (folder / "prometheus.yml").write_text(config)


# Traffic

def call(url, method="GET", body=None, headers=None):
    """Status and body; a refusal is an answer, too."""
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body, headers["content-type"] = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        # The replica that held the connection was killed.
        return 0, b""


def picture(shade):
    """A PNG of 64 × 64."""
    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return len(content).to_bytes(4, "big") + kind + content + crc.to_bytes(4, "big")

    header = (64).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    lines = zlib.compress((b"\0" + bytes([shade]) * 64) * 64)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def upload(url, shade, who):
    body = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\ncontent-type: image/png\r\n\r\n'
    body += picture(shade) + b"\r\n--x--\r\n"
    return call(f"{url}/api/images", "POST", body, {**who, "content-type": "multipart/form-data; boundary=x"})


def log_in(url):
    """Waits for the account, which is made after the gateway is there."""
    for _ in range(100):
        status, body = call(f"{url}/api/auth/login", "POST", {"username": "operator", "password": os.environ["OPERATOR_PASSWORD"]})
        if status == 200:
            return {"authorization": "Bearer " + json.loads(body)["access_token"]}
        time.sleep(0.1)
    sys.exit(f"ci/dashboards: the operator can't log in: {status} {body.decode(errors='replace')}")


def customers(url, who, done):
    """A few of everything, again and again."""
    number = 0
    while not done.is_set():
        number += 1
        product = f"PROD-00{number % 5 + 1}"
        call(f"{url}/api/products")
        call(f"{url}/api/orders", "POST", {"product_id": product, "quantity": 1, "email": "a@example.com"})
        if number % 20 == 0:
            call(f"{url}/api/orders", "POST", {"product_id": product, "quantity": 0, "email": "a@example.com"})
            call(f"{url}/api/job", "POST", {"kind": "echo", "payload": {"number": number}}, who)
        if number % 100 == 0:
            call(f"{url}/api/job", "POST", {"kind": "fail", "payload": {"times": 1}}, who)
            upload(url, number // 100 % 256, who)
            log_in(url)
        done.wait(0.05)


def kill(url, who):
    status, body = call(f"{url}/api/ops/kill", "POST", {"service": "order"}, who)
    if status != 202:
        sys.exit(f"ci/dashboards: nothing was killed: {status} {body.decode(errors='replace')}")


# What is shown

class Prometheus:
    def __init__(self, url):
        self.url = url

    def get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        _, body = call(f"{self.url}/api/v1/{path}?{query}")
        answer = json.loads(body)
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]

    def series(self, expr, instant):
        """Labels of each series that has a number in it; raises what Prometheus says of a bad query."""
        now = time.time()
        if instant:
            found = self.get("query", query=expr, time=now)["result"]
        else:
            found = self.get("query_range", query=expr, start=now - 60, end=now, step=5)["result"]
        numbers = lambda each: each.get("values") or [each["value"]]
        return [each["metric"] for each in found if any(not math.isnan(float(value)) for _, value in numbers(each))]


def metrics(expr):
    """The names of metrics in a query."""
    expr = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
    expr = re.sub(r"#.*", "", expr)
    expr = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", expr)
    expr = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", expr)
    expr = re.sub(r"\bgroup_(?:left|right)\b|\b\d[\w.]*", " ", expr)
    return set(re.findall(r"[a-zA-Z_:][\w:]*(?![\w:]|\s*\()", expr)) - WORDS


def explained(names):
    return any(re.fullmatch(pattern, name) for pattern in EXPLAINED for name in names)


def filled(expr, board):
    """A query as Grafana sends it with everything chosen."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    for each in board["templating"]["list"]:
        expr = expr.replace("$" + each["name"], each.get("allValue") or "")
    return expr


def boards():
    return [json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))]


def queries(board):
    """Where, query, legend, and whether it is asked for one moment; of Prometheus alone."""
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            if target["datasource"]["uid"] == "prometheus":
                where = f"{board['uid']}: {panel['title']} {target['refId']}"
                yield where, filled(target["expr"], board), target["legendFormat"], target["instant"]


def others(board):
    """Queries that may be empty: where, query."""
    for each in board["annotations"]["list"]:
        if "expr" in each:
            yield f"{board['uid']}: annotation {each['name']}", filled(each["expr"], board)
    for each in board["templating"]["list"]:
        values = re.fullmatch(r"label_values\((.+), (\w+)\)", each.get("definition", ""))
        if values and each["datasource"]["uid"] == "prometheus":
            yield f"{board['uid']}: variable {each['name']}", filled(values[1], board)


def panel_findings(prometheus, board):
    for where, expr, legend, instant in queries(board):
        try:
            series = prometheus.series(expr, instant)
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        if explained(metrics(expr)):
            continue
        if not series:
            yield f"{where}: no data: {expr}"
            continue
        for label in set(re.findall(r"\{\{(\w+)\}\}", legend)) - ELSEWHERE:
            if not any(label in each for each in series):
                yield f"{where}: its legend names {label}, which no series has"
    for where, expr in others(board):
        try:
            prometheus.series(expr, True)
        except ValueError as error:
            yield f"{where}: {error}"


def name_findings(prometheus, boards_):
    """R-SLO-6: a name that nothing says is a dead panel, or an alert that never fires."""
    there = set(prometheus.get("label/__name__/values"))
    asked = [(where, expr) for board in boards_ for where, expr, *_ in queries(board)]
    asked += [each for board in boards_ for each in others(board)]
    groups = prometheus.get("rules")["groups"]
    rules = [(f"rule {rule['name']}", rule["query"]) for group in groups for rule in group["rules"]]
    recorded = {rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "recording"}
    for where, expr in asked + rules:
        for name in sorted(metrics(expr) - there - recorded):
            # Made by Prometheus when an alert fires.
            if name != "ALERTS" and not explained({name}):
                yield f"{where}: nothing says {name}"
    if not rules:
        yield "Prometheus has no rules"


def negative_control(prometheus):
    """A panel that is dead, and one that is wrong, are found."""
    def panel(expr, legend=""):
        target = {"refId": "A", "datasource": {"uid": "prometheus"}, "expr": expr, "legendFormat": legend, "instant": False}
        board = {"uid": "control", "panels": [{"title": "control", "targets": [target]}], "templating": {"list": []}, "annotations": {"list": []}}
        return [*panel_findings(prometheus, board), *name_findings(prometheus, [board])]

    for expr, legend in (("seawall_never_heard_of", ""), ("sum(up", ""), ("up", "{{no_such_label}}"), ("up / 0 * 0", "")):
        if not panel(expr, legend):
            sys.exit(f"ci/dashboards: {expr!r} with the legend {legend!r} was found good")


def check(prometheus, url):
    who, done = log_in(url), threading.Event()
    traffic = threading.Thread(target=customers, args=(url, who, done), daemon=True)
    traffic.start()
    kill(url, who)
    began = time.monotonic()
    all_boards = boards()
    # Rates need two scrapes, budgets half a minute, schedules a whole one.
    while found := [each for board in all_boards for each in panel_findings(prometheus, board)] + list(name_findings(prometheus, all_boards)):
        if time.monotonic() - began > LIMIT:
            break
        time.sleep(2)
    negative_control(prometheus)
    done.set()
    for each in found:
        print(f"ci/dashboards: {each}", file=sys.stderr)
    panels = sum(1 for board in all_boards for _ in queries(board))
    took = time.monotonic() - began
    print(f"ci/dashboards: {panels} queries of {len(all_boards)} dashboards, {len(found)} findings after {took:.0f} s")
    return 1 if found or not panels else 0


def self_test():
    expr = 'sum by (job) (rate(a_total{b="c d",e!~"f"}[5m])) / on (g) group_left (h) (i:j > bool 1e3) or vector(0) unless k offset 5m'
    assert metrics(expr) == {"a_total", "i:j", "k"}, metrics(expr)
    assert metrics('label_replace(a, "b", "$1", "c", "(.*)") * 0.5') == {"a"}
    assert explained({"kube_pod_info"}) and not explained({"up"})
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "self-test":
        sys.exit(self_test())
    if sys.argv[1] == "configure":
        sys.exit(configure(Path(sys.argv[2]), *sys.argv[3:]))
    sys.exit(check(Prometheus(sys.argv[2]), sys.argv[3]))
