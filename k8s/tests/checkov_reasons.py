"""checkov on what is rendered: whatever it finds has a reason here, and no reason outlives its finding."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import rendered
from pods import LOW_USERS, TOKENS

# What is deployed where everything is on, where data is elsewhere, and where passwords are throwaway.
FOLDERS = ["tests/renders/everything", "eks/prod", "overlays/dev"]
# Check: why it may fail, and where (None: everywhere).
REASONS = {
    "CKV_K8S_43": ("a tag says what belongs together; digests, and who signed them, come in when deploying: ci/deploy", None),
    "CKV_K8S_15": ("images are loaded into kind, or have a digest; a restart must not need the registry", None),
    "CKV_K8S_35": ("DATABASE_URL and REDIS_URL are variables, one way for all; no shell and no other user is there to read them", None),
    "CKV_K8S_38": ("asks the API server, by a Role of its own", TOKENS),
    "CKV_K8S_40": ("the image's own user, whom its programs look up by name", set(LOW_USERS)),
}


def run(texts):
    """What checkov says of some manifests: check, resource and name of each failure."""
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(texts):
            Path(folder, f"{number}.yaml").write_text(text)
        command = [str(Path(sys.executable).parent / "checkov"), "--framework", "kubernetes", "--directory", folder]
        done = subprocess.run(
            [*command, "--compact", "--quiet", "--skip-download", "--output", "json"], text=True, capture_output=True
        )
    answer = json.loads(done.stdout)
    assert answer["summary"]["parsing_errors"] == 0 and answer["summary"]["passed"] > 100 * bool(len(texts) > 1), done.stdout[:500]
    return {(each["check_id"], each["resource"], each["check_name"]) for each in answer["results"]["failed_checks"]}


def unexplained(failures):
    met = set()
    for check, resource, title in sorted(failures):
        who = resource.rpartition(".")[2]
        reason, where = REASONS.get(check, (None, set()))
        met.add((check, who))
        if reason is None or (where is not None and who not in where):
            yield f"{check}: {resource}: {title}"
    for check, (reason, where) in REASONS.items():
        for who in where or ({who for c, who in met if c == check} or {"anything"}):
            if (check, who) not in met:
                yield f"{check}: the reason for {who} isn't needed any more: {reason}"


BAD = """apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: seawall-dev}
spec:
  containers:
    - {name: bad, image: "bad:1", securityContext: {privileged: true}}
"""


def main():
    failures = run([*map(rendered.render, FOLDERS), BAD])
    seeded = {each for each in failures if each[1].endswith(".bad")}
    assert any(check == "CKV_K8S_16" for check, *_ in seeded), f"checkov doesn't see a privileged container: {seeded}"
    found = list(unexplained(failures - seeded))
    for text in found:
        print(f"ci/k8s: checkov: {text}", file=sys.stderr)
    print(f"ci/k8s: checkov: {len(failures - seeded)} failures with a reason, {len(found)} without")
    return 1 if found else 0
