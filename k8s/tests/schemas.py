"""Schemas: Kubernetes's own, strictly, and ours for the custom resources, with the fields that we use and no others."""
import json
from functools import cache
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

from rendered import K8S, LOADER, name

# The oldest that has what we use (the preStop action `sleep` is stable), and the newest the tool knows.
VERSIONS = ("1.34", kubernetes_validate.latest_version())
OWN = Path(__file__).parent / "schemas"
# Files that no kustomization renders.
FILES = ["eks/cluster.yaml", "kind/cluster.yaml"]


@cache
def own(kind):
    path = OWN / f"{kind.lower()}.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text())) if path.exists() else None


def check(document):
    """The errors of one object."""
    schema = own(document["kind"])
    if schema:
        for error in schema.iter_errors(document):
            yield f"{error.json_path}: {error.message[:300]}"
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            yield f"there is no schema for {document['apiVersion']} {document['kind']}; write one into k8s/tests/schemas"
            return
        except kubernetes_validate.ValidationError as error:
            yield f"{version}: {'.'.join(map(str, error.path))}: {error.message[:300]}"
            return


@cache
def checked(text):
    return tuple(check(json.loads(text)))


def findings(rendered):
    """The same object in several folders is looked at once."""
    for document in rendered.documents:
        anywhere = document | {"metadata": {k: v for k, v in document["metadata"].items() if k not in ("namespace", "labels")}}
        for error in checked(json.dumps(anywhere, sort_keys=True, default=str)):
            yield "schema", f"{document['kind']} {name(document)}: {error}"


def files():
    for path in FILES:
        for document in yaml.load_all((K8S / path).read_text(), LOADER):
            for error in check(document):
                yield "schema", f"k8s/{path}: {error}"


def unused():
    """A schema for a kind that nobody uses any more would hide that its test is gone."""
    kinds = {path.stem for path in OWN.glob("*.json")}
    text = "".join(path.read_text().lower() for path in K8S.glob("**/*.yaml"))
    for kind in sorted(kinds):
        if f"kind: {kind}" not in text:
            yield "schema", f"nothing is of the kind {kind}"
