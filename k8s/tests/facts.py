"""What the code, the Dockerfile and docker-compose.yml say, for the manifests to agree with."""
import importlib.util
import re
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from urllib.parse import urlsplit

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
OPS = 9091
# Settings that manifests set before docs/settings.md has them, or that it names in prose.
ALSO_KNOWN = {
    "AWS_REGION": "read by the client of S3: the usual AWS_… variables",
    "CHAOS_ENABLED": "of all services, once they have fault points",
    "CHAOS_TOKEN": "of all services, once they have fault points",
    "GATEWAY_URLS": "of commander, once it runs drills",
    "AUTH_URLS": "of commander, once it runs drills",
    "PROMETHEUS_URL": "of commander, once it runs drills",
    "POD_NAMESPACE": "of commander, once it drives Kubernetes",
}
# Which URL settings mean an ops listener.
OPS_URLS = {"GATEWAY_OPS_URLS"}
# The replicas of gateway count each other, which is no call to a peer.
OWN_REPLICAS = {("gateway", "gateway", OPS)}


class Facts:
    def __init__(self, root=ROOT):
        read = lambda name: (root / name).read_text()
        services, settings, dockerfile = map(read, ("seawall/src/services.rs", "docs/settings.md", "Dockerfile"))
        self.calls, self.database, self.queue = {}, set(), set()
        for entry in re.split(r"\n    Service \{\n", services)[1:]:
            name = re.search(r'name: "(\w+)"', entry)[1]
            self.calls[name] = re.findall(r'"(\w+)"', re.search(r"calls: &\[(.*?)\]", entry, re.S)[1])
            self.database |= {name} if "database: true" in entry else set()
            self.queue |= {name} if "queue: true" in entry else set()
        self.services = list(self.calls)
        self.settings = {name: set(self._known(settings, name)) for name in self.services}
        self.pool = int(re.search(r"`DATABASE_MAX_CONNECTIONS` \| `(\d+)`", settings)[1])
        self.wait = int(re.search(r"`DATABASE_WAIT_SECONDS` \| `(\d+)`", settings)[1])
        stages = re.split(r"^FROM service AS (\w+)$", dockerfile, flags=re.M)
        stages = dict(zip(stages[1::2], stages[2::2]))
        self.ports = {name: int(re.search(r"LISTEN=0\.0\.0\.0:(\d+)", text)[1]) for name, text in stages.items()}
        self.user = int(re.search(r"^USER (\d+):\d+$", dockerfile, re.M)[1])
        self.version = tomllib.loads(read("Cargo.toml"))["workspace"]["package"]["version"]
        compose = yaml.safe_load(read("docker-compose.yml"))["services"]
        self.images = {each["image"] for each in compose.values()}
        self.secrets = {name: set(values) for name, values in made(root / "k8s/secrets").items()}
        self.databases = re.findall(r'^CREATE DATABASE "?(\w+)"?', read("compose/databases.sql"), re.M)

    def _known(self, settings, service):
        """The settings of one service: docs/settings.md, which ci/settings keeps like --help."""
        yield from ALSO_KNOWN
        tables = settings.split("<!-- tables")[1]
        for section in re.split(r"^## ", tables, flags=re.M)[1:]:
            title, _, body = section.partition("\n")
            of = re.search(r"^Of (.*)\.$", body, re.M)
            whose = of[1].split(", ") if of else [title] if title in self.services else self.services
            if service in whose:
                yield from re.findall(r"^\| `(\w+)`", body, re.M)

    def called(self):
        """Caller, callee, port. Of the gateways commander reads the metrics, too."""
        for caller, callees in self.calls.items():
            for callee in callees:
                yield caller, callee, self.ports[callee]
                if (caller, callee) == ("commander", "gateway"):
                    yield caller, callee, OPS


def made(script):
    """The Secrets that the script makes."""
    loader = SourceFileLoader("secrets_script", str(script))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module.made()


def seconds(text):
    """`500ms`, `5s`, `2m`"""
    number, unit = re.fullmatch(r"(\d+)(ms|s|m|h)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]


def targets(value):
    """Host and port of each URL in a list."""
    for url in value.split(","):
        parts = urlsplit(url)
        yield parts.hostname, parts.port or {"http": 80, "https": 443, "postgres": 5432, "redis": 6379}[parts.scheme]
