"""What dev, uat and prod are, in what they differ, and that each is sized to work."""
import base64
import re

from facts import targets
from rendered import labels, name, plain_name, pod, selects

# docs: namespace, APP_ENV, LOG_LEVEL, CRON_SCHEDULE, replicas (None: autoscaled), least replicas, chaos.
TABLE = {
    "dev": ("seawall-dev", "development", "debug", "* * * * *", 1, 1, True),
    "uat": ("seawall-uat", "uat", "info", "* * * * *", 2, 2, True),
    "prod": ("seawall-prod", "production", "warn", "0 0 * * *", None, 3, False),
}
REGISTRY = "ghcr.io/seawall-shop/"
CLUSTER_WIDE = {"Namespace"}
# Where the test adds what prod doesn't have.
CHAOS_ANYWAY = {"tests/renders/everything"}
# What may differ between two overlays, and why: kind, name, path. Everything else is the same everywhere.
MAY_DIFFER = [
    ("*", "*", r"metadata\.namespace|subjects\.\d+\.namespace", "one namespace for each"),
    ("Namespace", "*", r"metadata\.name", "one namespace for each"),
    ("*", "*", r"(spec\.(template|volumeClaimTemplates\.0)\.)?metadata\.labels\.app\.kubernetes\.io/instance", "tells them apart"),
    ("ConfigMap", "platform", r"data\.(APP_ENV|LOG_LEVEL|CHAOS_ENABLED)", "the table in docs/deploy.md"),
    ("ConfigMap", "worker", r"data\.CRON_SCHEDULE", "the table in docs/deploy.md"),
    ("Deployment", "*", r"spec\.replicas", "the table in docs/deploy.md"),
    ("Deployment", "*", r"spec\.template\.spec\.containers\.0\.image", "built here, or from the registry"),
    ("Deployment", "*", r"spec\.template\.spec\.containers\.0\.env\.CHAOS_TOKEN.*", "chaos is off in prod"),
    ("Role|RoleBinding", "commander-chaos", r".*", "chaos is off in prod"),
    ("NetworkPolicy", "faults|to-faults", r".*", "chaos is off in prod"),
    ("HorizontalPodAutoscaler", "*", r".*", "only prod scales by itself"),
    ("PodDisruptionBudget", "*", r".*", "with one replica there is nothing to keep"),
    ("Secret", "*", r".*", "only dev brings throwaway ones"),
]


def namespaces(rendered, _):
    space = rendered.namespace
    for each in rendered.documents:
        got = each["metadata"].get("namespace")
        if each["kind"] not in CLUSTER_WIDE and got != space:
            yield "namespace", f"{each['kind']} {name(each)} would go to {got or 'whatever kubectl has chosen'}"
        for subject in each.get("subjects", ()):
            if subject.get("namespace") != space:
                yield "namespace", f"{each['kind']} {name(each)} is about {subject}"
    seen = [(each["kind"], name(each)) for each in rendered.documents]
    for kind, which in sorted({one for one in seen if seen.count(one) > 1}):
        yield "namespace", f"there are two of {kind} {which}"


def table(rendered, facts):
    """An environment is what the table says."""
    space, app_env, level, schedule, replicas, _, chaos = TABLE[rendered.environment]
    chaos = chaos or rendered.folder in CHAOS_ANYWAY
    if rendered.namespace != space:
        yield "table", f"the namespace is {rendered.namespace}"
    if rendered.chaos is not chaos:
        yield "chaos", f"things may{'' if rendered.chaos else ' not'} be broken on purpose"
    for each in rendered.workloads:
        if name(each) not in facts.services:
            continue
        for _, told in rendered.environ(each):
            got = (told.get("APP_ENV"), told.get("LOG_LEVEL"), told.get("LOG_FORMAT"))
            if got != (app_env, level, "json"):
                yield "table", f"{name(each)} runs with {got}"
            if name(each) == "worker" and (told.get("CRON_SCHEDULE"), told.get("TZ")) != (schedule, "UTC"):
                yield "table", f"the schedule of worker is {told.get('CRON_SCHEDULE')}"
            if ("CHAOS_TOKEN" in told) is not chaos:
                yield "chaos", f"{name(each)} has{'' if 'CHAOS_TOKEN' in told else ' no'} CHAOS_TOKEN"
        if each["spec"].get("replicas") != replicas:
            yield "table", f"{name(each)} has {each['spec'].get('replicas')} replicas"
    missing = set(facts.services) - {name(each) for each in rendered.workloads}
    if missing:
        yield "table", f"there is no {', '.join(sorted(missing))}"


def least(rendered, workload):
    """Fewest replicas there may be when nothing is wrong."""
    scaler = rendered.get("HorizontalPodAutoscaler", name(workload))
    return scaler["spec"]["minReplicas"] if scaler else workload["spec"].get("replicas", 1)


def scaling(rendered, facts):
    """Budgets leave a replica and let one go; autoscalers have what they need; Postgres has connections for all."""
    wanted = TABLE[rendered.environment]
    connections = 0
    for each in rendered.workloads:
        if name(each) not in facts.services:
            continue
        who, fewest = name(each), least(rendered, each)
        scaler = rendered.get("HorizontalPodAutoscaler", who)
        if fewest < wanted[5]:
            yield "scaling", f"{who} may have only {fewest} replicas"
        if (scaler is None) is not (wanted[4] is not None):
            yield "scaling", f"{who} is{'' if scaler else ' not'} scaled by itself"
        budgets = [b for b in rendered.of("PodDisruptionBudget") if selects(b["spec"]["selector"], labels(each))]
        if len(budgets) != (fewest > 1):
            yield "budget", f"{who} has {len(budgets)} PodDisruptionBudgets for {fewest} replicas"
        for budget in budgets:
            stays = budget["spec"].get("minAvailable", fewest - budget["spec"].get("maxUnavailable", 0))
            if not 1 <= stays < fewest:
                yield "budget", f"of {fewest} replicas of {who} {stays} must stay"
        most = scaler["spec"]["maxReplicas"] if scaler else fewest
        if who in facts.database:
            connections += (most + each["spec"]["strategy"]["rollingUpdate"]["maxSurge"]) * facts.pool
    for scaler in rendered.of("HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        metrics = {each["resource"]["name"] for each in spec.get("metrics", ()) if each["type"] == "Resource"}
        if metrics != {"cpu", "memory"} or not 2 <= spec["minReplicas"] < spec["maxReplicas"]:
            yield "scaling", f"{name(scaler)} scales {spec['minReplicas']} to {spec['maxReplicas']} by {metrics}"
        if spec.get("behavior", {}).get("scaleDown", {}).get("stabilizationWindowSeconds", 0) < 120:
            yield "scaling", f"{name(scaler)} goes down with every dip"
    postgres = rendered.get("StatefulSet", "postgres")
    if postgres:
        most = int(re.search(r"max_connections=(\d+)", str(pod(postgres)["containers"][0]["args"]))[1])
        # Some are kept for superusers, the exporter and the start.
        if connections > most - 10:
            yield "scaling", f"the services may open {connections} connections, Postgres takes {most}"


def images(rendered, facts):
    """Fixed versions, the same as in compose, one version of all that is ours."""
    ours = {}
    for each in rendered.workloads:
        for container in pod(each)["containers"]:
            place, _, tag = container["image"].rpartition(":")
            if "@sha256" not in container["image"] and (not place or tag == "latest" or not re.search(r"\d", tag)):
                yield "images", f"{container['image']} is no fixed version"
            if name(each) in facts.services:
                ours[name(each)] = (place.removesuffix(name(each)), tag)
                if place.rpartition("/")[2] != f"seawall-{name(each)}" or container["name"] != name(each):
                    yield "images", f"{name(each)} runs {container['image']}"
            elif container["image"] not in facts.images and "kube-state-metrics" not in place:
                yield "images", f"docker-compose.yml has another {container['image']}"
    built_here = rendered.environment == "dev" and not rendered.folder.startswith("eks/")
    where = "" if built_here else REGISTRY
    if set(ours.values()) - {(f"{where}seawall-", facts.version)}:
        yield "images", f"not all services are {where}seawall-…:{facts.version}: {set(ours.values())}"


def secrets(rendered, facts):
    """Only dev brings Secrets, and their passwords fit together."""
    found = rendered.of("Secret")
    if rendered.environment != "dev":
        for each in found:
            yield "secrets", f"the Secret {name(each)} is in the manifests of {rendered.environment}"
        return
    def value(secret, key):
        return base64.b64decode(by_name.get(secret, {"data": {}})["data"].get(key, "")).decode()

    by_name = {plain_name(each): each for each in found}
    for service in sorted(facts.database):
        url = value(service, "DATABASE_URL")
        password = value("postgres", f"{service.upper()}_DATABASE_PASSWORD")
        if url != f"postgres://{service}:{password}@postgres/{service}" or service not in facts.databases:
            yield "secrets", f"DATABASE_URL of {service} doesn't fit Postgres"
    redis = value("queue", "REDIS_URL")
    if not redis or list(targets(redis)) != [("redis", 6379)] or f":{value('redis', 'REDIS_PASSWORD')}@" not in redis:
        yield "secrets", "REDIS_URL doesn't fit Redis"
    if {which: set(each["data"]) for which, each in by_name.items()} != facts.secrets:
        yield "secrets", "dev has other Secrets than k8s/secrets makes"
    for each in found:
        for key in each["data"]:
            if "laptop-only" not in value(plain_name(each), key):
                yield "secrets", f"{key} of {name(each)} looks like a real secret"


RULES = [namespaces, table, scaling, images, secrets]


def flat(value, path=""):
    """Path and value of every leaf; variables of containers by name instead of place."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from flat(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            named = path.endswith(".env") and each["name"]
            yield from flat(each, f"{path}.{named or place}")
    else:
        yield path, value


def leaves(rendered):
    """Every leaf of every object; names without the suffix that tells contents apart."""
    hashed = {name(each): plain_name(each) for each in rendered.of("ConfigMap", "Secret")}
    found = {}
    for each in rendered.documents:
        which = "" if each["kind"] == "Namespace" else hashed.get(name(each), name(each))
        for path, value in flat(each):
            if path != "metadata.name" or each["kind"] == "Namespace":
                found[each["kind"], which, path] = hashed.get(value, value) if isinstance(value, str) else value
    return found


def differences(one, other):
    """Two overlays differ only in what has a reason to."""
    here, there = leaves(one), leaves(other)
    for kind, which, path in sorted({key for key in {**here, **there} if here.get(key) != there.get(key)}):
        if not any(
            re.fullmatch(k.replace("*", ".*"), kind) and re.fullmatch(n.replace("*", ".*"), which) and re.fullmatch(p, path)
            for k, n, p, _ in MAY_DIFFER
        ):
            yield "differences", f"{one.environment} and {other.environment} differ in {path} of {kind} {which}"
