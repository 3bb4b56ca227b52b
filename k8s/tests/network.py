"""Who may reach whom, as a cluster that enforces NetworkPolicies decides it, against who has to."""
from facts import OPS, OPS_URLS, OWN_REPLICAS, targets
from rendered import component, labels, name, pod, selects

API_SERVER = {"commander", "prometheus", "kube-state-metrics", "alloy"}
# Everything outside that is no private network and not where clouds keep credentials.
WORLD = "0.0.0.0/0"
LINK_LOCAL = "169.254.0.0/16"


def allowed(rendered):
    """Triples (from, to, port) that the sender's policies allow, those that the receiver's do, and those that name
    something outside."""
    policies = rendered.of("NetworkPolicy")
    places = {name(each): (labels(each), ports(each)) for each in rendered.workloads}
    sent, received, outside = set(), set(), set()
    for one, (mine, listens) in places.items():
        for peer, port in sides(policies, mine, "Egress"):
            if is_pod(peer):
                sent |= {(one, other, port) for other in matching(places, peer) if port in places[other][1]}
            else:
                outside.add((one, text(peer), port))
        for peer, port in sides(policies, mine, "Ingress"):
            if is_pod(peer):
                received |= {(other, one, port) for other in matching(places, peer) if port in listens}
            else:
                outside.add((text(peer), one, port))
    return sent, received, outside


def matching(places, peer):
    return [who for who, (marks, _) in places.items() if selects(peer["podSelector"], marks)]


def is_pod(peer):
    return set(peer) == {"podSelector"}


def ports(workload):
    return [port["containerPort"] for each in pod(workload)["containers"] for port in each.get("ports", ())]


def sides(policies, mine, side):
    """Peer and port of every rule that is about a pod with these labels."""
    key, peer_key = (("ingress", "from"), ("egress", "to"))[side == "Egress"]
    for policy in policies:
        spec = policy["spec"]
        if side in spec["policyTypes"] and selects(spec["podSelector"], mine):
            for rule in spec.get(key, ()):
                for peer in rule[peer_key]:
                    for port in rule["ports"]:
                        yield peer, port["port"]


def text(peer):
    """A peer outside in one word."""
    if "ipBlock" in peer:
        return peer["ipBlock"]["cidr"]
    space = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    chosen = peer.get("podSelector", {}).get("matchLabels", {})
    return f"{space}/{chosen.get('app.kubernetes.io/name') or chosen.get('k8s-app')}"


def needed(rendered, facts):
    """The triples that the code needs inside."""
    there = {name(each) for each in rendered.workloads}
    edges = set(facts.called()) | OWN_REPLICAS
    edges |= {(one, "postgres", 5432) for one in facts.database} | {(one, "redis", 6379) for one in facts.queue}
    edges |= {("postgres-exporter", "postgres", 5432), ("redis-exporter", "redis", 6379)}
    edges |= {("grafana", "prometheus", 9090), ("prometheus", "alertmanager", 9093), ("grafana", "loki", 3100)}
    edges.add(("commander", "prometheus", 9090))
    edges |= {("alertmanager", "commander", facts.ports["commander"]), ("alloy", "loki", 3100)}
    edges |= {("prometheus", one, OPS) for one in facts.services}
    edges |= {("prometheus", one, port) for one, port in (("postgres-exporter", 9187), ("redis-exporter", 9121), ("kube-state-metrics", 8080))}
    if rendered.chaos:
        edges |= {("commander", one, OPS) for one in facts.services}
    return {edge for edge in edges if {edge[0], edge[1]} <= there}


def outside_needed(rendered, facts):
    """The triples that what is there needs outside."""
    there = {name(each) for each in rendered.workloads}
    edges = {(one, "kube-system/kube-dns", 53) for one in there}
    edges |= {(one, WORLD, port) for one in API_SERVER & there for port in (443, 6443)}
    classes = {each["spec"]["ingressClassName"] for each in rendered.of("Ingress")}
    public = [f"10.20.{32 * n}.0/19" for n in range(3)]
    private = [f"10.20.{32 * n}.0/19" for n in range(3, 6)]
    if "nginx" in classes:
        edges.add(("ingress-nginx/ingress-nginx", "gateway", facts.ports["gateway"]))
    if "alb" in classes:
        edges |= {(net, "gateway", facts.ports["gateway"]) for net in public}
    exporters = {"postgres": "postgres-exporter", "redis": "redis-exporter"}
    for store, port, users in (("postgres", 5432, facts.database), ("redis", 6379, facts.queue)):
        if store not in there:
            users = users | ({exporters[store]} & there)
            edges |= {(one, net, port) for one in users for net in private}
    if "postgres" not in there:
        edges |= {("image", WORLD, 443), ("image", "169.254.170.23/32", 80)}
    if rendered.of("ServiceMonitor"):
        scraped = [(one, OPS) for one in facts.services] + [("postgres-exporter", 9187), ("redis-exporter", 9121)]
        # One policy for all pods: the ports that a pod doesn't listen on mean nothing.
        edges |= {("monitoring/prometheus", one, port) for one in there for port in {port for _, port in scraped}}
        edges.add(("commander", "monitoring/prometheus", 9090))
        edges.add(("monitoring/alertmanager", "commander", facts.ports["commander"]))
    if "loki" in there:
        edges.add(("monitoring/grafana", "loki", 3100))
    if any(each.get("name") == "SMTP_URL" for w in rendered.workloads for c in pod(w)["containers"] for each in c.get("env", ())):
        edges |= {("notification", WORLD, 465), ("notification", WORLD, 587)}
    return edges


def connectivity(rendered, facts):
    """Exactly the connections that are needed are allowed."""
    sent, received, around = allowed(rendered)
    wanted = needed(rendered, facts)
    for have, both, want in ((sent | received, sent & received, wanted), (around, around, outside_needed(rendered, facts))):
        for one, other, port in sorted(have - want):
            yield "network", f"{one} may reach {other} on {port}, and nothing needs that"
        for one, other, port in sorted(want - both):
            yield "network", f"{one} may not reach {other} on {port}, and has to"
    for policy in rendered.of("NetworkPolicy"):
        for rule in [*policy["spec"].get("egress", ()), *policy["spec"].get("ingress", ())]:
            for peer in rule.get("from", rule.get("to", ())):
                block = peer.get("ipBlock", {})
                if block.get("cidr") == WORLD and LINK_LOCAL not in block.get("except", ()):
                    yield "network", f"{name(policy)} opens the address where clouds keep credentials"


def urls(rendered, facts):
    """The peers that a service is told of are those it calls."""
    want = set(facts.called()) | OWN_REPLICAS
    have = set()
    for workload in rendered.workloads:
        if name(workload) not in facts.services:
            continue
        for _, told in rendered.environ(workload):
            for key, value in told.items():
                if key.endswith("_URLS") and value:
                    for host, port in targets(value):
                        have.add((name(workload), host.removesuffix("-ops") if key in OPS_URLS else host, port))
    for one, other, port in sorted(have ^ want):
        told = "is told of" if (one, other, port) in have else "isn't told of"
        yield "urls", f"{one} {told} {other}:{port}, against seawall/src/services.rs"


def isolated(rendered, facts):
    """Pods that no policy keeps in are as open as the cluster; one that is new is kept in, too."""
    if not any(p["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} for p in rendered.of("NetworkPolicy")):
        yield "network", "nothing denies what no policy allows"
    for workload in rendered.workloads:
        for side in ("Ingress", "Egress"):
            held = [p for p in rendered.of("NetworkPolicy") if side in p["spec"]["policyTypes"] and selects(p["spec"]["podSelector"], labels(workload))]
            if not held:
                yield "network", f"nothing restricts the {side.lower()} of {name(workload)} ({component(workload)})"


RULES = [connectivity, urls, isolated]
