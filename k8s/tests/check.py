"""Renders everything below k8s/ and checks it; ci/k8s starts this. Needs kubectl, and no cluster."""
import difflib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import yaml

import breaks
import checkov_reasons
import copies
import environments
import policy
import rendered
import schemas
from facts import Facts

SNAPSHOTS = ["overlays/prod", "eks/prod"]
ENVIRONMENTS = ["overlays/dev", "overlays/uat", "overlays/prod"]


def snapshot(folder):
    return rendered.K8S / "tests/snapshots" / f"{folder.replace('/', '-')}.yaml"


def load():
    with ThreadPoolExecutor(4) as threads:
        return dict(zip(rendered.folders(), threads.map(rendered.load, rendered.folders())))


def snapshots():
    """What goes to prod is looked at when it changes."""
    for folder in SNAPSHOTS:
        path = snapshot(folder)
        old = path.read_text() if path.exists() else ""
        new = rendered.render(folder)
        if old != new:
            lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{path.name}, committed", f"k8s/{folder}, now", lineterm="", n=4)
            yield "snapshot", "k8s/{} has changed; if that is meant, run ci/k8s --update\n{}".format(folder, "\n".join(list(lines)[:120]))


def covered(everything):
    """Every component is in something that is rendered."""
    used = set()
    for path in rendered.K8S.glob("**/kustomization.yaml"):
        used |= {re.sub(r".*/", "", each) for each in re.findall(r"\.\./(?:components/)?([a-z-]+)\b", path.read_text())}
    for missing in sorted(set(rendered.components()) - used):
        yield "covered", f"nothing renders the component {missing}"
    if not {f"components/chaos-mesh/{name}" for name in ("pod-kill", "network-delay", "cpu-stress")} <= set(everything):
        yield "covered", "an experiment of Chaos Mesh is missing"


def aws():
    """What is allowed in the cloud names what it is allowed on, and the bucket is the one that pods are told of."""
    for path in sorted(rendered.K8S.glob("eks/*-policy.json")):
        for each in json.loads(path.read_text())["Statement"]:
            actions = [each["Action"]] if isinstance(each["Action"], str) else each["Action"]
            looks = all(re.search(r":(Describe|List|Get)", action) for action in actions)
            if any("*" in action for action in actions):
                yield "aws", f"{path.name}: {each['Sid']} allows {actions}"
            if each["Resource"] == "*" and not looks and "Condition" not in each and actions != ["ec2:CreateSecurityGroup"]:
                yield "aws", f"{path.name}: {each['Sid']} is about everything"
    policy_text = (rendered.K8S / "eks/image-bucket-policy.json").read_text()
    cluster = (rendered.K8S / "eks/cluster.yaml").read_text()
    for each in ("uat", "prod"):
        text = (rendered.K8S / f"eks/{each}/kustomization.yaml").read_text()
        bucket, prefix = re.search(r"IMAGE_STORE_URL=s3://([a-z-]+)/([a-z-]+)", text).groups()
        if f"arn:aws:s3:::{bucket}/${{aws:PrincipalTag/kubernetes-namespace}}/" not in policy_text or prefix != f"seawall-{each}":
            yield "aws", f"pods of {each} may not write to s3://{bucket}/{prefix}"
        if f"namespace: seawall-{each}\n      serviceAccountName: image" not in cluster:
            yield "aws", f"image has no role in {each}"


def prometheus(text=None):
    """promtool, where it is installed, on all that Debian's was built with: discovery in Kubernetes isn't."""
    path = rendered.K8S / "components/monitoring-plain/prometheus.yml"
    config = yaml.load(text or path.read_text(), rendered.LOADER)
    for each in config["scrape_configs"]:
        each.pop("kubernetes_sd_configs", None)
    if shutil.which("promtool"):
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            yaml.safe_dump(config, file)
            file.flush()
            done = subprocess.run(["promtool", "check", "config", file.name], text=True, capture_output=True)
        if done.returncode:
            yield "prometheus", f"{path.name}: {done.stderr.strip()[-500:]}"


def findings(everything, facts):
    for folder, each in everything.items():
        for rule, text in [*policy.findings(each, facts), *schemas.findings(each)]:
            yield rule, f"k8s/{folder}: {text}"
    for one, other in combinations(ENVIRONMENTS, 2):
        yield from environments.differences(everything[one], everything[other])
    yield from schemas.files()
    yield from schemas.unused()
    yield from copies.findings()
    yield from covered(everything)
    yield from aws()
    yield from prometheus()
    yield from snapshots()


def update():
    copies.write()
    for folder in SNAPSHOTS:
        snapshot(folder).parent.mkdir(exist_ok=True)
        snapshot(folder).write_text(rendered.render(folder))
    print("ci/k8s: copies and snapshots are written; look at the difference before you commit it")


def main(arguments):
    if arguments == ["--update"]:
        update()
        return 0
    if arguments == ["--checkov"]:
        return checkov_reasons.main()
    everything, facts = load(), Facts()
    if arguments == ["--self-test"]:
        return breaks.self_test(everything, facts)
    found = list(dict.fromkeys(findings(everything, facts)))
    for rule, text in found:
        print(f"ci/k8s: {rule}: {text}", file=sys.stderr)
    objects = sum(len(each.documents) for each in everything.values())
    print(f"ci/k8s: {objects} objects in {len(everything)} folders, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (AssertionError, subprocess.SubprocessError) as error:
        print(f"ci/k8s: {error}", file=sys.stderr)
        sys.exit(1)
