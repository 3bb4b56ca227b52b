"""Breaks each rule on a copy of what is rendered, and sees it reported."""
import copy
import subprocess
import tempfile

import checkov_reasons
import containers
import copies
import environments
import policy
import schemas
from rendered import K8S, Rendered, plain_name

DEV, UAT, PROD, KIND, EKS = "overlays/dev", "overlays/uat", "overlays/prod", "kind/prod", "eks/prod"
OPERATOR, ALL = "tests/renders/monitoring", "tests/renders/everything"


def at(kind, name, path, value):
    """Sets what is at a path; None takes it away, a function changes it."""

    def change(documents):
        for each in documents:
            if each["kind"] == kind and plain_name(each) == name:
                *way, last = path.split("/")
                place = each
                for key in way:
                    place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
                last = int(last) if isinstance(place, list) else last
                if value is None:
                    del place[last]
                else:
                    place[last] = value(place.get(last) if isinstance(place, dict) else place[last]) if callable(value) else value
                return
        raise AssertionError(f"there is no {kind} {name}")

    return change


def without(kind, name):
    def change(documents):
        kept = [each for each in documents if (each["kind"], each["metadata"]["name"]) != (kind, name)]
        assert len(kept) < len(documents), f"there is no {kind} {name}"
        documents[:] = kept

    return change


def env(name, variable, value):
    return at("Deployment", name, "spec/template/spec/containers/0/env", lambda told: [*told, {"name": variable, "value": value}])


POD, BOX = "spec/template/spec", "spec/template/spec/containers/0"
ORDER = ("Deployment", "order")
# Rule, folder, what breaks it.
BREAKS = [
    ("restricted", DEV, at(*ORDER, f"{POD}/securityContext/runAsNonRoot", False)),
    ("restricted", DEV, at(*ORDER, f"{POD}/securityContext/runAsUser", 0)),
    ("restricted", DEV, at(*ORDER, f"{POD}/securityContext/seccompProfile", None)),
    ("restricted", DEV, at(*ORDER, f"{POD}/hostNetwork", True)),
    ("restricted", DEV, at("Deployment", "image", f"{POD}/volumes/0", {"name": "pictures", "hostPath": {"path": "/"}})),
    ("restricted", DEV, at(*ORDER, f"{BOX}/securityContext/allowPrivilegeEscalation", True)),
    ("restricted", DEV, at(*ORDER, f"{BOX}/securityContext/readOnlyRootFilesystem", False)),
    ("restricted", DEV, at("StatefulSet", "redis", f"{BOX}/securityContext/capabilities", {"drop": ["ALL"], "add": ["CHOWN"]})),
    ("restricted", DEV, at(*ORDER, f"{BOX}/ports/0/hostPort", 80)),
    ("restricted", DEV, at("Namespace", "seawall-dev", "metadata/labels/pod-security.kubernetes.io~enforce", "x")),
    ("resources", DEV, at(*ORDER, f"{BOX}/resources/limits/memory", None)),
    ("tokens", DEV, at(*ORDER, f"{POD}/automountServiceAccountToken", True)),
    ("tokens", DEV, at(*ORDER, f"{POD}/enableServiceLinks", True)),
    ("tokens", DEV, at(*ORDER, f"{POD}/serviceAccountName", "commander")),
    ("roles", DEV, at("Role", "commander-chaos", "rules/0/verbs", ["*"])),
    ("roles", PROD, at("Role", "commander", "rules/0/verbs", ["get", "list", "watch", "delete"])),
    ("probes", DEV, at(*ORDER, f"{BOX}/livenessProbe/httpGet/path", "/readyz")),
    ("probes", DEV, at(*ORDER, f"{BOX}/startupProbe/failureThreshold", 10)),
    ("probes", DEV, at("StatefulSet", "redis", f"{BOX}/livenessProbe", None)),
    ("ports", DEV, at(*ORDER, f"{BOX}/ports/0/containerPort", 5001)),
    ("ports", DEV, at("Service", "order", "spec/ports/0/port", 80)),
    ("ports", ALL, at("Deployment", "grafana", f"{BOX}/ports/0/name", "http")),
    ("grace", DEV, at(*ORDER, f"{POD}/terminationGracePeriodSeconds", 50)),
    ("grace", DEV, at("ConfigMap", "platform", "data/STOP_TIMEOUT", "30s")),
    ("grace", DEV, at(*ORDER, f"{BOX}/lifecycle", None)),
    ("updates", DEV, at(*ORDER, "spec/strategy/rollingUpdate/maxUnavailable", 1)),
    ("updates", DEV, at(*ORDER, f"{POD}/topologySpreadConstraints/0/labelSelector/matchLabels", {"app.kubernetes.io/part-of": "seawall"})),
    ("labels", DEV, at(*ORDER, "spec/template/metadata/labels/app.kubernetes.io~version", "9")),
    ("selectors", DEV, at("Service", "order", "spec/selector/app.kubernetes.io~name", "orders")),
    ("selectors", UAT, at("PodDisruptionBudget", "order", "spec/selector/matchLabels/app.kubernetes.io~name", "auth")),
    ("selectors", DEV, at("NetworkPolicy", "order", "spec/podSelector/matchLabels/app.kubernetes.io~name", "orders")),
    ("selectors", OPERATOR, at("ServiceMonitor", "seawall", "spec/endpoints/0/port", "metric")),
    ("selectors", OPERATOR, at("PrometheusRule", "seawall", "metadata/labels/release", "other")),
    ("headless", DEV, at("Service", "order", "spec/clusterIP", None)),
    ("exposure", DEV, at("Service", "gateway", "spec/type", "LoadBalancer")),
    ("exposure", DEV, at("Service", "gateway", "spec/ports", lambda ports: [*ports, {"name": "ops", "port": 9091, "targetPort": "ops"}])),
    ("exposure", KIND, at("Ingress", "gateway", "spec/rules/0/http/paths/0/backend/service/name", "gateway-ops")),
    ("exposure", KIND, at("Ingress", "gateway", "spec/rules/0/http/paths/0/path", "/metrics")),
    ("exposure", KIND, at("Certificate", "seawall", "spec/dnsNames", ["other.localhost"])),
    ("addresses", DEV, at("ConfigMap", "gateway", "data/ORDER_URLS", "http://order:5009")),
    ("addresses", ALL, at("ConfigMap", "prometheus", "data/prometheus.yml", lambda text: text.replace("alertmanager:9093", "alertmanager:9094"))),
    ("addresses", ALL, at("ConfigMap", "grafana", "data/datasources.yml", lambda text: text.replace("loki:3100", "loki:3101"))),
    ("addresses", OPERATOR, without("Service", "commander")),
    ("references", DEV, at(*ORDER, f"{BOX}/env/0/valueFrom/secretKeyRef/name", "orders")),
    ("references", DEV, at(*ORDER, f"{BOX}/env/0/valueFrom/secretKeyRef/key", "URL")),
    ("references", UAT, at(*ORDER, f"{BOX}/env/0/valueFrom/secretKeyRef/key", "URL")),
    ("references", DEV, at(*ORDER, f"{BOX}/envFrom/0/configMapRef/name", "platforms")),
    ("references", DEV, without("PersistentVolumeClaim", "pictures")),
    ("references", DEV, without("Role", "commander")),
    ("references", PROD, at("HorizontalPodAutoscaler", "order", "spec/scaleTargetRef/name", "orders")),
    ("unused", DEV, at("ConfigMap", "redis", "metadata/name", "other")),
    ("unused", ALL, at("ConfigMap", "grafana", "data/more.yml", "x")),
    ("settings", DEV, env("order", "INVENTORY_URL", "http://inventory:5001")),
    ("settings", DEV, at("ConfigMap", "platform", "data/CRON_SCHEDULE", "* * * * *")),
    ("settings", DEV, env("order", "INVENTORY_URLS", "http://inventory:5001")),
    ("settings", DEV, at("Deployment", "worker", f"{BOX}/env", lambda told: told[1:])),
    ("urls", DEV, at("ConfigMap", "worker", "data/INVENTORY_URLS", None)),
    ("network", DEV, without("NetworkPolicy", "default-deny")),
    ("network", DEV, without("NetworkPolicy", "order")),
    ("network", DEV, at("NetworkPolicy", "auth", "spec/ingress/0/ports/0/port", 5004)),
    ("network", DEV, at("NetworkPolicy", "auth", "spec/ingress/0/from/0", {"podSelector": {}})),
    ("network", DEV, at("NetworkPolicy", "commander", "spec/egress/3/to/0/ipBlock/except", ["10.0.0.0/8"])),
    ("network", DEV, at("Deployment", "image", "spec/template/metadata/labels/seawall~postgres", "client")),
    ("network", DEV, at("NetworkPolicy", "dns", "spec/egress/0/to/0/namespaceSelector", {"matchLabels": {"kubernetes.io/metadata.name": "default"}})),
    ("network", EKS, at("NetworkPolicy", "ingress", "spec/ingress/0/from/0/ipBlock/cidr", "0.0.0.0/0")),
    ("network", EKS, at("NetworkPolicy", "to-postgres", "spec/egress/0/ports/0/port", 5433)),
    ("namespace", KIND, at("Ingress", "gateway", "metadata/namespace", None)),
    ("namespace", DEV, at("RoleBinding", "commander", "subjects/0/namespace", "default")),
    ("table", PROD, at("ConfigMap", "platform", "data/APP_ENV", "development")),
    ("table", PROD, at("ConfigMap", "worker", "data/CRON_SCHEDULE", "* * * * *")),
    ("table", PROD, at(*ORDER, "spec/replicas", 3)),
    ("table", UAT, without("Deployment", "auth")),
    ("chaos", PROD, at("ConfigMap", "platform", "data/CHAOS_ENABLED", "true")),
    ("chaos", PROD, env("order", "CHAOS_TOKEN", "x")),
    ("scaling", PROD, at("HorizontalPodAutoscaler", "order", "spec/minReplicas", 1)),
    ("scaling", PROD, at("HorizontalPodAutoscaler", "order", "spec/maxReplicas", 40)),
    ("scaling", PROD, at("HorizontalPodAutoscaler", "order", "spec/metrics", lambda metrics: metrics[:1])),
    ("scaling", PROD, at("HorizontalPodAutoscaler", "order", "spec/behavior/scaleDown/stabilizationWindowSeconds", 0)),
    ("scaling", PROD, without("HorizontalPodAutoscaler", "auth")),
    ("budget", PROD, at("PodDisruptionBudget", "order", "spec/maxUnavailable", 3)),
    ("budget", PROD, at("PodDisruptionBudget", "order", "spec/maxUnavailable", 0)),
    ("budget", UAT, without("PodDisruptionBudget", "order")),
    ("images", PROD, at(*ORDER, f"{BOX}/image", "ghcr.io/seawall-shop/seawall-order:latest")),
    ("images", PROD, at(*ORDER, f"{BOX}/image", "ghcr.io/seawall-shop/seawall-order:0.0.9")),
    ("images", PROD, at(*ORDER, f"{BOX}/image", "ghcr.io/seawall-shop/seawall-auth:0.1.0")),
    ("images", PROD, at("StatefulSet", "redis", f"{BOX}/image", "redis:6.0-alpine")),
    ("secrets", DEV, at("Secret", "order", "data/DATABASE_URL", "cG9zdGdyZXM6Ly9vcmRlcjpvdGhlckBwb3N0Z3Jlcy9vcmRlcg==")),
    ("secrets", DEV, at("Secret", "auth", "data/OPERATOR_PASSWORD", "aHVudGVyMg==")),
    ("secrets", PROD, at("ConfigMap", "redis", "kind", "Secret")),
    ("schema", DEV, at(*ORDER, "spec/replica", 2)),
    ("schema", DEV, at(*ORDER, f"{BOX}/lifecycle/preStop/sleep", {"second": 5})),
    ("schema", OPERATOR, at("ServiceMonitor", "seawall", "spec/endpoints/0/scrapeInterval", "5s")),
    ("schema", KIND, at("Certificate", "seawall", "spec/secretName", None)),
    ("schema", "components/chaos-mesh/pod-kill", at("PodChaos", "pod-kill", "spec/mode", "some")),
]
# Paths use ~ for the / in labels.
DIFFERENCES = [
    at(*ORDER, f"{BOX}/resources/limits/memory", "1Gi"),
    at("NetworkPolicy", "order", "spec/ingress", []),
    at("ConfigMap", "platform", "data/DRAIN_TIME", "1s"),
    without("Service", "redis"),
]


def escaped(documents, change):
    """Labels hold slashes; the paths above say ~ for those."""

    def swap(value, old, new):
        if isinstance(value, dict):
            return {key.replace(old, new) if isinstance(key, str) else key: swap(each, old, new) for key, each in value.items()}
        return [swap(each, old, new) for each in value] if isinstance(value, list) else value

    documents = [swap(each, "/", "~") for each in documents]
    change(documents)
    return [swap(each, "~", "/") for each in documents]


# What k8s/tests/run-containers does follows the manifest in each of these.
FOLLOWED = [
    at(*ORDER, f"{POD}/securityContext/runAsUser", 65533),
    at(*ORDER, f"{BOX}/securityContext/readOnlyRootFilesystem", False),
    at(*ORDER, f"{BOX}/securityContext/allowPrivilegeEscalation", True),
    at(*ORDER, f"{BOX}/securityContext/capabilities/drop", ["NET_RAW"]),
    at(*ORDER, f"{BOX}/resources/limits/memory", "64Mi"),
    at(*ORDER, f"{BOX}/image", "seawall-order:9"),
    at("ConfigMap", "platform", "data/LOG_LEVEL", "trace"),
    at("Secret", "order", "data/ORDER_ID_SECRET", "eA=="),
    at("Service", "order", "metadata/name", "orders"),
]


def code_changes(everything, facts):
    """The code says something else, and the manifests don't know."""
    changes = [
        ("network", "calls", facts.calls | {"auth": ["order"]}),
        ("urls", "calls", facts.calls | {"worker": ["order"]}),
        ("network", "database", facts.database | {"image"}),
        ("settings", "queue", facts.queue - {"worker"}),
        ("settings", "settings", facts.settings | {"order": facts.settings["order"] - {"INVENTORY_URLS"}}),
        ("ports", "ports", facts.ports | {"order": 5009}),
        ("images", "version", "0.2.0"),
        ("images", "images", facts.images - {"redis:7.4.6-alpine"}),
        ("probes", "wait", 120),
        ("restricted", "user", 70000),
        ("scaling", "pool", 20),
        ("table", "services", [*facts.services, "basket"]),
        ("secrets", "databases", ["order"]),
        ("references", "secrets", {}),
    ]
    for rule, what, value in changes:
        other = copy.copy(facts)
        setattr(other, what, value)
        if what == "services":
            other.calls = facts.calls | {"basket": []}
        folder = UAT if rule == "references" else PROD if rule == "scaling" else DEV
        found = {rule for rule, _ in policy.findings(everything[folder], other)}
        assert rule in found, f"{what} of the code changed, and nothing but {found or 'nothing'} was said"
    return len(changes)


def plan(rendered):
    """The command for order, with what it needs in a folder that goes away."""
    workload = rendered.get("Deployment", "order")
    with tempfile.TemporaryDirectory() as place:
        return containers.Plan(rendered, workload, containers.secrets_of(rendered, {}), place).command("test", "test")


def followed(everything):
    as_is = plan(everything[DEV])
    assert {"--read-only", "65532:65532", "ALL", "no-new-privileges", "order", "seawall-order:0.1.0"} <= set(as_is), as_is
    for number, change in enumerate(FOLLOWED):
        changed = Rendered(DEV, escaped(copy.deepcopy(everything[DEV].documents), change))
        assert plan(changed) != as_is, f"run-containers doesn't care about change {number}"
    for folder in (DEV, UAT, PROD):
        done = subprocess.run([K8S / "tests/run-containers", folder, "--plan"], text=True, capture_output=True)
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and len(lines) == 8, f"run-containers {folder} --plan: {done.stderr}"


def self_test(everything, facts):
    for folder, each in everything.items():
        assert not list(policy.findings(each, facts)), f"k8s/{folder} has findings of its own"
    for number, (rule, folder, change) in enumerate(BREAKS):
        broken = Rendered(folder, escaped(copy.deepcopy(everything[folder].documents), change))
        found = {rule for rule, _ in [*policy.findings(broken, facts), *(schemas.findings(broken) if rule == "schema" else ())]}
        assert rule in found, f"break {number} of {rule} in {folder}: nothing but {found or 'nothing'} was said"
    for number, change in enumerate(DIFFERENCES):
        broken = Rendered(UAT, escaped(copy.deepcopy(everything[UAT].documents), change))
        assert list(environments.differences(broken, everything[PROD])), f"difference {number} went unnoticed"
    changed = {name: text + "#" for name, text in copies.copies().items()}
    assert len(list(copies.findings(changed))) == len(changed), "a copy that differs went unnoticed"
    reasons = list(checkov_reasons.unexplained({("CKV_K8S_16", "Deployment.seawall-dev.order", "privileged")}))
    assert any("CKV_K8S_16" in text for text in reasons) and len(reasons) > 4, "checkov's findings go unnoticed"
    followed(everything)
    ways = len(BREAKS) + code_changes(everything, facts)
    print(f"ci/k8s: each of {len({rule for rule, *_ in BREAKS})} rules can fail, in {ways} ways")
    return 0
