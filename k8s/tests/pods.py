"""How each pod is held: privileges, limits, probes, updates, ends."""
from facts import OPS, seconds
from rendered import component, labels, name, pod

OURS = ("front-door", "api", "worker", "control")
# Who asks the API server. Everybody else has no token.
TOKENS = {"commander", "prometheus", "kube-state-metrics", "alloy"}
# Users of images that are not ours, below 10000.
LOW_USERS = {"postgres": 70, "redis": 999, "grafana": 472}
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected", "downwardAPI"}
LABELS = ["name", "component", "part-of"]
OUR_LABELS = [*LABELS, "version", "managed-by", "instance"]


def is_ours(workload, facts):
    return name(workload) in facts.services


def restricted(rendered, facts):
    """Pod Security `restricted`, and a bit more."""
    for each in rendered.of("Namespace"):
        marks = each["metadata"]["labels"]
        for mode in ("enforce", "audit", "warn"):
            if marks.get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                yield "restricted", f"the namespace {name(each)} doesn't {mode} restricted"
    for each in rendered.workloads:
        spec, who = pod(each), name(each)
        context = spec.get("securityContext", {})
        user = context.get("runAsUser", 0)
        lowest = facts.user if is_ours(each, facts) else LOW_USERS.get(who, 10000)
        if context.get("runAsNonRoot") is not True or user < lowest:
            yield "restricted", f"{who} runs as {user or 'root'}"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield "restricted", f"{who} may use any system call"
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")):
            yield "restricted", f"{who} shares what is the node's"
        for volume in spec.get("volumes", ()):
            if not VOLUMES & set(volume):
                yield "restricted", f"{who} mounts {volume}"
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            yield from held(who, container)


def held(who, container):
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "restricted", f"{who} can gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "restricted", f"{who} can change its own files"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "restricted", f"{who} keeps capabilities"
    if {"runAsUser", "runAsNonRoot", "seccompProfile"} & set(context):
        yield "restricted", f"{who} says twice as whom it runs"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield "restricted", f"{who} takes a port of the node"
    for side in ("requests", "limits"):
        missing = {"cpu", "memory"} - set(container.get("resources", {}).get(side, ()))
        if missing:
            yield "resources", f"{who} has no {side} of {' and '.join(sorted(missing))}"


def tokens(rendered, _):
    """Only who asks the API server has a token, and nobody gets Services as variables."""
    for each in rendered.workloads:
        spec, who = pod(each), name(each)
        if spec.get("automountServiceAccountToken") is not (who in TOKENS):
            yield "tokens", f"{who} has the wrong automountServiceAccountToken"
        if spec.get("enableServiceLinks") is not False:
            yield "tokens", f"{who} gets a variable for every Service"
        account = rendered.get("ServiceAccount", spec.get("serviceAccountName", "default"))
        if spec.get("serviceAccountName") != who or not account:
            yield "tokens", f"{who} has no ServiceAccount of its own"
        elif account.get("automountServiceAccountToken") is not False:
            yield "tokens", f"the ServiceAccount of {who} gives tokens away"


def roles(rendered, _):
    """What may be done through the API server."""
    bindings = {binding["subjects"][0]["name"] for binding in rendered.of("RoleBinding")}
    for who in bindings - TOKENS:
        yield "roles", f"{who} has a role and no token"
    for role in rendered.of("Role", "ClusterRole"):
        for rule in role["rules"]:
            words = {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
            if "*" in words or "secrets" in words or role["kind"] == "ClusterRole":
                yield "roles", f"{name(role)} may do too much: {rule}"
        writes = {(r, v) for rule in role["rules"] for r in rule["resources"] for v in rule["verbs"]} - {
            (r, v) for rule in role["rules"] for r in rule["resources"] for v in ("get", "list", "watch")
        }
        chaos = {("pods", "delete"), ("deployments/scale", "patch"), ("statefulsets/scale", "patch")}
        if writes and (name(role) != "commander-chaos" or not rendered.chaos or writes - chaos):
            yield "roles", f"{name(role)} may change things: {sorted(writes)}"


def probes(rendered, facts):
    """Liveness asks nothing but whether the process answers; the start may wait for a database."""
    for each in rendered.workloads:
        for container in pod(each)["containers"]:
            who = name(each)
            if not {"livenessProbe", "readinessProbe"} <= set(container):
                yield "probes", f"{who} isn't probed"
                continue
            if not is_ours(each, facts):
                continue
            wanted = {"livenessProbe": "/livez", "readinessProbe": "/readyz", "startupProbe": "/livez"}
            for probe, path in wanted.items():
                got = container.get(probe, {})
                if got.get("httpGet") != {"path": path, "port": "ops"}:
                    yield "probes", f"{who}: {probe} doesn't ask {path} of the ops listener"
            start = container.get("startupProbe", {})
            if start.get("failureThreshold", 3) * start.get("periodSeconds", 10) <= facts.wait:
                yield "probes", f"{who} is killed while it waits for its database ({facts.wait} s)"
            listens = {port["name"]: port["containerPort"] for port in container["ports"]}
            if listens != {"http": facts.ports[who], "ops": OPS}:
                yield "ports", f"{who} says it listens on {listens}, its image does on {facts.ports[who]} and {OPS}"


def replicas(rendered, facts):
    """Commander takes a pod of ours with a port `http` for a replica of a service."""
    for each in rendered.workloads:
        named = {port["name"] for container in pod(each)["containers"] for port in container.get("ports", ())}
        seen = "http" in named and labels(each).get("app.kubernetes.io/part-of") == "seawall"
        if seen is not is_ours(each, facts):
            yield "ports", f"commander would{'' if seen else ' not'} take {name(each)} for a service"


def endings(rendered, facts):
    """The grace period is longer than all that an orderly end may take."""
    for each in rendered.workloads:
        if not is_ours(each, facts):
            continue
        for container, told in rendered.environ(each):
            sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            if sleep < 5:
                yield "grace", f"{name(each)} leaves before anybody has forgotten it"
            # STOP_TIMEOUT counts for requests in flight, and again for background work.
            longest = sleep + seconds(told.get("DRAIN_TIME", "500ms")) + 2 * seconds(told.get("STOP_TIMEOUT", "20s"))
            grace = pod(each).get("terminationGracePeriodSeconds", 30)
            if grace < longest + 5:
                yield "grace", f"{name(each)} may take {longest:g} s to end and is killed after {grace} s"


def updates(rendered, facts):
    """No update takes a pod away before its successor is ready; pods are spread."""
    for each in rendered.workloads:
        if not is_ours(each, facts):
            continue
        how = each["spec"].get("strategy", {})
        rolling = how.get("rollingUpdate", {})
        if how.get("type") != "RollingUpdate" or rolling.get("maxUnavailable") != 0 or not rolling.get("maxSurge"):
            yield "updates", f"{name(each)} loses a pod during an update"
        spread = pod(each).get("topologySpreadConstraints", ())
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname"):
            fits = [s for s in spread if s["topologyKey"] == key and s["labelSelector"]["matchLabels"].items() <= labels(each).items()]
            if not fits or fits[0]["labelSelector"]["matchLabels"].get("app.kubernetes.io/name") != name(each):
                yield "updates", f"{name(each)} isn't spread over {key}"


def labelled(rendered, facts):
    for each in rendered.workloads:
        wanted = OUR_LABELS if is_ours(each, facts) else LABELS
        for marks in (labels(each), each["metadata"].get("labels", {})):
            for missing in (key for key in wanted if not marks.get(f"app.kubernetes.io/{key}")):
                yield "labels", f"{name(each)} has no label app.kubernetes.io/{missing}"
        if is_ours(each, facts):
            if labels(each).get("app.kubernetes.io/version") != facts.version:
                yield "labels", f"{name(each)} says it is another version than {facts.version}"
            if component(each) not in OURS:
                yield "labels", f"{name(each)} is of no known component"


RULES = [restricted, tokens, roles, probes, replicas, endings, updates, labelled]
