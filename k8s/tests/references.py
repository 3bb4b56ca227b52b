"""Whatever names something: it exists, and means what it is taken for."""
import re

from facts import targets
from rendered import labels, name, pod, selects

# Secrets that nobody can make up: k8s/secrets doesn't.
FOREIGN_SECRETS = {"mail": {"SMTP_URL"}}
# A host and a port in a configuration file, of the form Kubernetes gives names inside a namespace.
PEER = re.compile(r"(?:http://|[\s\[\"'])([a-z][a-z-]*):(\d{4,5})\b")


def keys(rendered, kind):
    return {name(each): set(each.get("data", ())) for each in rendered.of(kind)}


def selectors(rendered, _):
    """Every selector finds a pod, and finds what it is named after."""
    pods = [(name(each), labels(each)) for each in rendered.workloads]

    def found(selector):
        return {who for who, marks in pods if selects(selector, marks)}

    for each in rendered.workloads:
        if found(each["spec"]["selector"]) != {name(each)}:
            yield "selectors", f"{each['kind']} {name(each)} selects {found(each['spec']['selector'])}"
    for each in rendered.of("Service"):
        who = found({"matchLabels": each["spec"].get("selector", {})})
        if who != {name(each).removesuffix("-ops")}:
            yield "selectors", f"the Service {name(each)} selects {who or 'nothing'}"
    for each in rendered.of("PodDisruptionBudget"):
        if found(each["spec"]["selector"]) != {name(each)}:
            yield "selectors", f"the PodDisruptionBudget {name(each)} is about {found(each['spec']['selector'])}"
    for each in rendered.of("NetworkPolicy"):
        rules = [*each["spec"].get("egress", ()), *each["spec"].get("ingress", ())]
        peers = [peer for rule in rules for peer in rule.get("from", rule.get("to", ()))]
        named = [each["spec"]["podSelector"], *(p["podSelector"] for p in peers if set(p) == {"podSelector"})]
        for selector in named:
            # Loki is another component than Grafana.
            if not found(selector) and "loki" not in str(selector):
                yield "selectors", f"the NetworkPolicy {name(each)} selects nothing with {selector}"


def monitors(rendered, _):
    for each in rendered.of("ServiceMonitor"):
        services = [s for s in rendered.of("Service") if selects(each["spec"]["selector"], s["metadata"]["labels"])]
        for endpoint in each["spec"]["endpoints"]:
            ports = {port["name"] for service in services for port in service["spec"]["ports"]}
            if endpoint["port"] not in ports:
                yield "selectors", f"the ServiceMonitor {name(each)} finds no port {endpoint['port']}"
    releases = {each["metadata"].get("labels", {}).get("release") for each in rendered.of("ServiceMonitor", "PrometheusRule", "AlertmanagerConfig")}
    if len(releases) > 1 or None in releases:
        yield "selectors", f"the operator would not find all: releases {releases}"


def services(rendered, facts):
    """Ports of Services exist in their pods; who balances over replicas sees their addresses."""
    for each in rendered.of("Service"):
        listens = set()
        for workload in rendered.workloads:
            if selects({"matchLabels": each["spec"].get("selector", {})}, labels(workload)):
                for container in pod(workload)["containers"]:
                    listens |= {(port["name"], port["containerPort"]) for port in container.get("ports", ())}
        for port in each["spec"]["ports"]:
            if (port["targetPort"], port["port"]) not in listens:
                yield "ports", f"the Service {name(each)} sends {port['port']} to {port['targetPort']}, which isn't that port"
        if each["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield "exposure", f"the Service {name(each)} is reachable from outside"
        ours = name(each).removesuffix("-ops") in facts.services
        if ours and name(each) != "gateway" and each["spec"].get("clusterIP") != "None":
            yield "headless", f"the Service {name(each)} hides its replicas from those who balance over them"
        if name(each) == "gateway" and {port["name"] for port in each["spec"]["ports"]} != {"http"}:
            yield "exposure", "the Service gateway has more ports than the public one"


def addresses(rendered, _):
    """Every host and port in an environment or a configuration file is a Service with that port."""
    known = {(name(each), port["port"]) for each in rendered.of("Service") for port in each["spec"]["ports"]}
    hosts = {host for host, _ in known}
    for workload in rendered.workloads:
        for _, told in rendered.environ(workload):
            for key, value in told.items():
                if value and re.match(r"[a-z]+://[a-z]", value) and not value.startswith(("s3:", "file:")):
                    for host, port in targets(value):
                        # A name with a dot is of another namespace.
                        if (host, port) not in known and "." not in host:
                            yield "addresses", f"{name(workload)}: {key} names {host}:{port}, which no Service has"
    for each in rendered.of("ConfigMap"):
        for key, value in each.get("data", {}).items():
            for host, port in PEER.findall(value):
                optional = host == "loki" and "loki" not in hosts
                if host != "localhost" and (host, int(port)) not in known and not optional:
                    yield "addresses", f"{key} in {name(each)} names {host}:{port}, which no Service has"
    for each in rendered.of("AlertmanagerConfig"):
        for host, space, port in re.findall(r"http://([a-z-]+)\.([a-z-]+)\.svc:(\d+)", str(each["spec"])):
            if (host, int(port)) not in known or space != rendered.namespace:
                yield "addresses", f"{name(each)} names {host}.{space}:{port}, which isn't here"


def ingresses(rendered, _):
    """Only the gateway's public port is reachable."""
    for each in rendered.of("Ingress"):
        for rule in each["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                service = rendered.get("Service", backend["name"])
                ports = {port["name"] for port in service["spec"]["ports"]} if service else set()
                if backend["name"] != "gateway" or backend["port"].get("name") != "http" or "http" not in ports:
                    yield "exposure", f"the Ingress sends {path['path']} to {backend}"
                if path["path"] not in ("/", "/api"):
                    yield "exposure", f"the Ingress opens {path['path']}"
        hosts = {rule.get("host") for rule in each["spec"]["rules"]}
        for tls in each["spec"].get("tls", ()):
            names = {host for c in rendered.of("Certificate") if c["spec"].get("secretName") == tls["secretName"] for host in c["spec"]["dnsNames"]}
            if not hosts <= set(tls["hosts"]) or not hosts <= names:
                yield "exposure", f"no certificate fits {hosts}"


def mounted(rendered):
    """ConfigMap or Secret or claim, and the keys that pods take of each (None: all)."""
    for workload in rendered.workloads:
        spec = pod(workload)
        for container in spec["containers"]:
            for source in container.get("envFrom", ()):
                yield workload, "ConfigMap", source["configMapRef"]["name"], None
            for each in container.get("env", ()):
                of = each.get("valueFrom", {})
                for kind, ref in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
                    if ref in of:
                        yield workload, kind, of[ref]["name"], of[ref]["key"]
            volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
            claims = {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", ())}
            for mount in container.get("volumeMounts", ()):
                volume = volumes.get(mount["name"], {})
                if not volume and mount["name"] not in claims:
                    yield workload, "Volume", mount["name"], None
                if "configMap" in volume:
                    yield workload, "ConfigMap", volume["configMap"]["name"], mount.get("subPath")
                if "persistentVolumeClaim" in volume:
                    yield workload, "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], None


def uses(rendered, facts):
    """What pods take exists, and what exists is taken."""
    has = {kind: keys(rendered, kind) for kind in ("ConfigMap", "Secret", "PersistentVolumeClaim")}
    has["Volume"] = {}
    # Outside dev they come from the script, or from somebody.
    has["Secret"] = has["Secret"] or facts.secrets | FOREIGN_SECRETS
    taken = {}
    for workload, kind, which, key in mounted(rendered):
        taken.setdefault((kind, which), set()).add(key)
        if which not in has[kind]:
            yield "references", f"{name(workload)} takes the {kind} {which}, which isn't there"
        elif key and key not in has[kind][which]:
            yield "references", f"{name(workload)} takes {key} of the {kind} {which}, which has no such key"
    for kind in ("ConfigMap", "PersistentVolumeClaim"):
        for each in rendered.of(kind):
            which = name(each)
            got = taken.get((kind, which), set())
            if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1":
                continue
            unused = set(has[kind][which]) - got if got and None not in got else set()
            if not got or unused:
                yield "unused", f"nobody takes {', '.join(sorted(unused)) or 'anything'} of the {kind} {which}"


def settings(rendered, facts):
    """Every variable is a setting of the service that gets it, and is said once."""
    for workload in rendered.workloads:
        who = name(workload)
        if who not in facts.services:
            continue
        for container, told in rendered.environ(workload):
            for variable in sorted(set(told) - facts.settings[who]):
                yield "settings", f"{who} has no setting {variable}"
            sources = [set(rendered.get("ConfigMap", s["configMapRef"]["name"])["data"]) for s in container.get("envFrom", ()) if rendered.get("ConfigMap", s["configMapRef"]["name"])]
            sources.append({each["name"] for each in container.get("env", ())})
            said = [key for source in sources for key in source]
            for variable in sorted({key for key in said if said.count(key) > 1}):
                yield "settings", f"{who} is told {variable} twice"
            if (who in facts.database) is not ("DATABASE_URL" in told) or (who in facts.queue) is not ("REDIS_URL" in told):
                yield "settings", f"{who} has the wrong stores, against seawall/src/services.rs"
            if "IDENTITY_SECRET" not in told:
                yield "settings", f"{who} doesn't get IDENTITY_SECRET"


def bindings(rendered, _):
    for each in rendered.of("RoleBinding"):
        if not rendered.get("Role", each["roleRef"]["name"]):
            yield "references", f"the RoleBinding {name(each)} names no Role"
        for subject in each["subjects"]:
            if not rendered.get("ServiceAccount", subject["name"]):
                yield "references", f"the RoleBinding {name(each)} names no ServiceAccount"
    for each in rendered.of("HorizontalPodAutoscaler"):
        target = each["spec"]["scaleTargetRef"]
        if not rendered.get(target["kind"], target["name"]):
            yield "references", f"the autoscaler {name(each)} scales nothing"


RULES = [selectors, monitors, services, addresses, ingresses, uses, settings, bindings]
