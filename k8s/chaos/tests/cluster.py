"""A made-up cluster for the tests of the experiments, and what else they have in common."""
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time
import xml.etree.ElementTree as xml
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHAOS = HERE.parent


class Cluster:
    """A made-up cluster in a folder."""

    def __init__(self, pods=2, back_after_ms=300, **more):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        (self.path / "pods").write_text("".join(f"order-{i}|uid-{i}|node-{i}||True\n" for i in range(pods)))
        (self.path / "log").write_text("")
        path = f"{HERE}:{os.environ['PATH']}"
        self.environment = os.environ | {"FAKE": str(self.path), "PATH": path, "BACK_AFTER_MS": str(back_after_ms)} | more

    def start(self, script, *arguments):
        given = [CHAOS / script, *arguments, "--report", self.path / "report"]
        return subprocess.Popen(
            given, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def run(self, script, *arguments):
        process = self.start(script, *arguments)
        self.out, self.err = process.communicate(timeout=60)
        return process.returncode

    def asked(self, verb):
        return [line for line in (self.path / "log").read_text().splitlines() if f" {verb} " in f" {line} "]

    def report(self, name):
        document = xml.parse(self.path / "report" / f"{name}.xml").getroot()
        return json.loads((self.path / "report" / f"{name}.json").read_text()), document


class Page(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(type(self).status)
        self.end_headers()

    def log_message(self, *_):
        pass


class Answers:
    """An address that gives one status to all."""

    def __init__(self, status):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("P", (Page,), {"status": status}))

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)
