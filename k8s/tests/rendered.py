"""What `kubectl kustomize` makes of a folder, and how to look things up in it."""
import re
import subprocess
from pathlib import Path

import yaml

K8S = Path(__file__).resolve().parent.parent
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


class LOADER(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads a bare `=` as text, as kubectl does."""


LOADER.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))


def folders():
    """Everything that can be rendered by itself and is more than a part."""
    found = [path.parent for path in sorted(K8S.glob("**/kustomization.yaml"))]
    return [str(path.relative_to(K8S)) for path in found if kind(path) != "Component" and "base/" not in f"{path}"]


def kind(folder):
    return yaml.load((folder / "kustomization.yaml").read_text(), LOADER)["kind"]


def components():
    return [p.parent.name for p in sorted(K8S.glob("components/*/kustomization.yaml")) if kind(p.parent) == "Component"]


def render(folder):
    done = subprocess.run(["kubectl", "kustomize", str(K8S / folder)], text=True, capture_output=True)
    assert done.returncode == 0, f"k8s/{folder}: {done.stderr.strip()}"
    assert not done.stderr.strip(), f"k8s/{folder}: {done.stderr.strip()}"
    return done.stdout


class Rendered:
    """The objects of one folder."""

    def __init__(self, folder, documents):
        self.folder, self.documents = folder, documents

    def of(self, *kinds):
        return [each for each in self.documents if each["kind"] in kinds]

    def get(self, kind, name):
        return next((each for each in self.of(kind) if each["metadata"]["name"] == name), None)

    @property
    def environment(self):
        """dev, uat or prod."""
        return self.namespace.removeprefix("seawall-")

    @property
    def namespace(self):
        spaces = [each["metadata"]["name"] for each in self.of("Namespace")]
        return spaces[0] if spaces else ""

    @property
    def chaos(self):
        """May things be broken on purpose here?"""
        return any(each.get("data", {}).get("CHAOS_ENABLED") == "true" for each in self.of("ConfigMap"))

    @property
    def workloads(self):
        return self.of(*WORKLOADS)

    def environ(self, workload):
        """What the containers of a workload are told: variable and value, or None for what is in a Secret."""
        for container in pod(workload)["containers"]:
            told = {}
            for source in container.get("envFrom", ()):
                found = self.get("ConfigMap", source["configMapRef"]["name"])
                told |= found["data"] if found else {}
            for each in container.get("env", ()):
                told[each["name"]] = each.get("value")
            yield container, told


def pod(workload):
    return workload["spec"]["template"]["spec"]


def labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def name(each):
    return each["metadata"]["name"]


def plain_name(each):
    """Without the suffix by which Kustomize tells contents apart, in its alphabet."""
    return re.sub(r"-[2456789bcdfghkmt]{10}$", "", name(each))


def component(workload):
    return workload["metadata"].get("labels", {}).get("app.kubernetes.io/component")


def selects(selector, found):
    """A label selector, as Kubernetes reads it."""
    for key, value in selector.get("matchLabels", {}).items():
        if found.get(key) != value:
            return False
    for each in selector.get("matchExpressions", ()):
        value, operator = found.get(each["key"]), each["operator"]
        fits = {
            "In": value in each.get("values", ()),
            "NotIn": value not in each.get("values", ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }[operator]
        if not fits:
            return False
    return True


def load(folder):
    return Rendered(folder, [each for each in yaml.load_all(render(folder), LOADER) if each])
