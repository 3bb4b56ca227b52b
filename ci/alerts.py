"""The part of ci/alerts that acts: injects each row of monitoring/faults.yml and watches what comes of it."""
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT / "monitoring/faults.yml"
# Before a row, what the last one left must have cleared.
QUIET = 180


class Failed(Exception):
    """A row that did not go as it says."""


def call(url, method="GET", body=None, token=None):
    """Status and JSON; no answer is status 0."""
    data, headers = (json.dumps(body).encode(), {"content-type": "application/json"}) if body is not None else (None, {})
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    except OSError:
        return 0, None
    try:
        return status, json.loads(text)
    except ValueError:
        return status, None


class Platform:
    def __init__(self, environment, url, prometheus, alertmanager):
        self.environment = environment
        self.url, self.prometheus, self.alertmanager = url, prometheus, alertmanager
        self.operator = None
        self.expires = 0

    def token(self):
        """The operator's, a new one before the old one ends."""
        if time.monotonic() > self.expires:
            tokens = self.log_in({"username": "operator", "password": os.environ["OPERATOR_PASSWORD"]})
            self.operator = tokens["access_token"]
            self.expires = time.monotonic() + tokens["expires_in"] / 2
        return self.operator

    def log_in(self, who):
        # After a row that guesses passwords nobody from this address may for a while.
        for _ in range(300):
            status, tokens = call(f"{self.url}/api/auth/login", "POST", who)
            if status == 200:
                return tokens
            time.sleep(1 if status == 429 else 0.1)
        raise Failed(f"{who['username']} can't log in: {status} {tokens}")

    def new_account(self):
        who = {"username": f"guest-{uuid.uuid4().hex[:12]}", "password": uuid.uuid4().hex}
        status, answer = call(f"{self.url}/api/auth/register", "POST", who)
        if status not in (200, 201):
            raise Failed(f"no account is made: {status} {answer}")
        return who

    def ask(self, query):
        """What Prometheus has for a query; nothing where it is away."""
        _, answer = call(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        if answer and answer["status"] == "error":
            raise Failed(f"{query}: {answer['error']}")
        return answer["data"]["result"] if answer else []

    def inbox(self):
        """Name and severity of each alert that the inbox shows as firing; None while it can't be read."""
        status, page = call(f"{self.url}/api/ops/alerts?state=firing&limit=500", token=self.token())
        return {(alert["name"], alert["severity"]) for alert in page["items"]} if status == 200 else None

    def told(self):
        """What Alertmanager has and neither silences nor inhibits."""
        status, alerts = call(f"{self.alertmanager}/api/v2/alerts?active=true&silenced=false&inhibited=false")
        if status != 200:
            raise Failed(f"Alertmanager can't be read: {status} {alerts}")
        return {(alert["labels"]["alertname"], alert["labels"].get("severity")) for alert in alerts}

    def firing(self):
        """What the inbox shows. Containers can be stopped that it needs; then what would be there."""
        inbox = self.inbox()
        if inbox is None and self.environment == "local":
            raise Failed("the inbox can't be read")
        return self.told() if inbox is None else inbox

    def run(self, commands):
        """The row's commands for this environment."""
        for command in (commands or {}).get(self.environment, ()):
            done = subprocess.run(command, shell=True, cwd=ROOT, text=True, capture_output=True)
            if done.returncode:
                raise Failed(f"{command}: {done.stderr[-500:]}")


def until(limit, what, check):
    """Polls; seconds it took."""
    began = time.monotonic()
    while True:
        took = time.monotonic() - began
        if check():
            return took
        if took > limit:
            raise Failed(f"{what}: not within {limit} s")
        time.sleep(0.5)


class Injection:
    """A row's calls and load while it lasts; leaving it is the revert."""

    def __init__(self, platform, row):
        self.platform, self.row = platform, row
        self.over = threading.Event()
        self.threads, self.saved = [], {}

    def __enter__(self):
        load = self.row.get("load") or {}
        if "requests" in load:
            for request in load["requests"]:
                self.background(self.stream, request)
        elif load:
            # People who meet errors come all the same.
            self.must("/api/ops/load", load | {"abort_failed_ratio": 1})
            until(15, "the load runs", self.loaded)
        self.platform.run(self.row.get("run"))
        for action in self.row.get("inject") or ():
            self.over.wait(action.get("after", 0))
            if "every" in action:
                self.background(self.repeat, action)
            else:
                self.act(action)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.platform.run(self.row.get("revert"))
        for path in ("/api/ops/faults", "/api/ops/load"):
            end = lambda: self.platform.inbox() is not None and call(self.platform.url + path, "DELETE", token=self.platform.token())[0] == 204
            until(30, f"DELETE {path} is heard", end)
        # What is under way is waited for.
        until(60, "the load has ended", lambda: not self.loading())

    def background(self, work, *what):
        thread = threading.Thread(target=work, args=what, daemon=True)
        self.threads.append(thread)
        thread.start()

    def loading(self):
        """The load, while it runs."""
        status, load = call(f"{self.platform.url}/api/ops/load", token=self.platform.token())
        return load if status == 200 and load and load["state"] == "running" else None

    def loaded(self):
        """It makes ready first, with what the fault may take away."""
        load = self.loading()
        return load and load["sent"] > 0

    def must(self, path, body):
        status, answer = call(self.platform.url + path, "POST", body, self.platform.token())
        if status not in (200, 201, 202, 204):
            raise Failed(f"POST {path} is refused: {status} {answer}")
        return answer

    def filled(self, value):
        """A body with what earlier answers gave."""
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        if isinstance(value, str) and value.startswith("{") and value[1:-1] in self.saved:
            return self.saved[value[1:-1]]
        return value

    def act(self, action):
        body, path = self.filled(action.get("body")), action["path"]
        if action.get("as") == "new-account":
            body = self.platform.new_account()
        for _ in range(action.get("times", 1)):
            # Logins are no operator's, and may be refused: that is what some rows are about.
            token = None if path.startswith("/api/auth/") else self.platform.token()
            status, answer = call(self.platform.url + path, action["method"], body, token)
            if path.startswith("/api/ops/") and status not in (200, 201, 202, 204, 404, 409):
                raise Failed(f"{action['method']} {path} is refused: {status} {answer}")
            if "save" in action:
                self.saved[action["save"]] = answer[action["save"]]

    def repeat(self, action):
        while not self.over.is_set():
            self.act(action)
            self.over.wait(action["every"])

    def stream(self, request):
        """Calls at a rate, each after a login of its own where the row says so."""
        who = self.platform.new_account() if "as" in request else None
        while not self.over.is_set():
            token = None
            if who:
                _, tokens = call(f"{self.platform.url}/api/auth/login", "POST", who)
                token = (tokens or {}).get("access_token")
            call(self.platform.url + request["path"], request["method"], request.get("body"), token)
            self.over.wait(1 / request["rate"])


def carry_out(platform, row):
    """One row; what was seen, in seconds."""
    alert = (row["alert"], row.get("severity"))
    if "run" in row:
        # What is taken away may be what logs in.
        platform.expires = 0
    until(QUIET, "quiet before the fault", lambda: not platform.ask(row["metric"]) and not critical(platform) and alert not in platform.firing())
    began = time.monotonic()
    with Injection(platform, row):
        metric = until(row["metric_within"], "the metric moves", lambda: platform.ask(row["metric"]))
        if row["alert"] is None:
            while time.monotonic() - began < row["fires_within"]:
                if critical(platform):
                    raise Failed(f"nobody was to be called, but {critical(platform)}")
                time.sleep(1)
            return f"metric {metric:.0f} s, nobody called in {row['fires_within']} s"
        left = row["fires_within"] - (time.monotonic() - began)
        until(left, f"{row['alert']} is in the inbox", lambda: alert in platform.firing())
        fired = time.monotonic() - began
        where = "in the inbox" if platform.inbox() is not None else "with Alertmanager, the inbox being away,"
    cleared = until(row["clears_within"], f"{row['alert']} clears", lambda: alert not in platform.firing() | platform.told())
    return f"metric {metric:.0f} s, {row['alert']} {where} {fired:.0f} s, clear {cleared:.0f} s after the revert"


def critical(platform):
    return {name for name, severity in platform.firing() if severity == "critical"}


def main(environment, url, prometheus, alertmanager, *names):
    rows = yaml.safe_load(ROWS.read_text())
    unknown = set(names) - {row["fault"] for row in rows}
    if unknown:
        sys.exit(f"ci/alerts: no row is called {', '.join(sorted(unknown))}")
    platform, failed, done = Platform(environment, url, prometheus, alertmanager), 0, 0
    for row in rows:
        if names and row["fault"] not in names:
            continue
        if environment != "local" and not names and "local" in row["environments"]:
            # Containers are for what needs them, unless a row is named.
            continue
        if environment not in row["environments"]:
            print(f"ci/alerts: {row['fault']}: left out, needs {' or '.join(row['environments'])}", flush=True)
            continue
        done += 1
        try:
            print(f"ci/alerts: {row['fault']}: {carry_out(platform, row)}", flush=True)
        except Failed as reason:
            failed += 1
            print(f"ci/alerts: {row['fault']}: FAILED: {reason}", file=sys.stderr, flush=True)
    print(f"ci/alerts: {done} faults, {failed} not as the table says")
    return 1 if failed or not done else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
