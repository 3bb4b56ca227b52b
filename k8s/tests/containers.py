"""The `docker run` that does with a container what the kubelet would: the same environment, user, limits, volumes."""
import base64
import os
from pathlib import Path

from rendered import labels, name, plain_name, pod, selects

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"


class Plan:
    """One container of a workload, on a network where Services are names."""

    def __init__(self, rendered, workload, secrets, folder):
        self.rendered, self.workload, self.secrets = rendered, workload, secrets
        self.spec = pod(workload)
        (self.container,) = self.spec["containers"]
        self.name = name(workload)
        self.folder = Path(folder, self.name)

    @property
    def ports(self):
        return {port["name"]: port["containerPort"] for port in self.container["ports"]}

    def environment(self):
        """Exactly what the manifest says, and the two that the kubelet adds for everybody."""
        told = {}
        for source in self.container.get("envFrom", ()):
            told |= self.rendered.get("ConfigMap", source["configMapRef"]["name"])["data"]
        for each in self.container.get("env", ()):
            told[each["name"]] = self.value(each)
        # Nobody answers there: this is no cluster.
        return told | {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}

    def value(self, each):
        if "value" in each:
            return each["value"]
        source = each["valueFrom"]
        if "fieldRef" in source:
            return {"metadata.namespace": self.rendered.namespace, "metadata.name": self.name}[source["fieldRef"]["fieldPath"]]
        reference = source["secretKeyRef"]
        return self.secrets[reference["name"]][reference["key"]]

    def names(self):
        """The Services that select it."""
        found = [each for each in self.rendered.of("Service") if selects({"matchLabels": each["spec"]["selector"]}, labels(self.workload))]
        return [name(each) for each in found]

    def mounts(self):
        """Arguments for volumes; what has to be there before is made below the folder."""
        volumes = {volume["name"]: volume for volume in self.spec.get("volumes", ())}
        for mount in self.container.get("volumeMounts", ()):
            volume, at = volumes[mount["name"]], mount["mountPath"]
            if "emptyDir" in volume:
                size = volume["emptyDir"].get("sizeLimit", "64Mi").replace("Mi", "m").replace("Gi", "g")
                yield ["--tmpfs", f"{at}:size={size},mode=2777"]
            elif "persistentVolumeClaim" in volume:
                yield ["--volume", f"{self.disk(mount['name'])}:{at}"]
            else:
                yield ["--volume", f"{self.files(volume, mount)}:{at}:ro"]
        if self.spec.get("automountServiceAccountToken"):
            yield ["--volume", f"{self.token()}:{TOKEN}:ro"]

    def disk(self, which):
        """Empty, of the group in fsGroup, as a new disk is."""
        path = self.folder / which
        path.mkdir(parents=True, exist_ok=True)
        try:
            os.chown(path, 0, self.spec["securityContext"]["fsGroup"])
            path.chmod(0o2775)
        except PermissionError:
            path.chmod(0o2777)
        return path

    def files(self, volume, mount):
        path = self.folder / mount["name"]
        path.mkdir(parents=True, exist_ok=True)
        for key, text in self.rendered.get("ConfigMap", volume["configMap"]["name"])["data"].items():
            (path / key).write_text(text)
        return path / mount["subPath"] if "subPath" in mount else path

    def token(self):
        """As the kubelet lays it out, good for nothing."""
        path = self.folder / "token"
        path.mkdir(parents=True, exist_ok=True)
        for key, text in {"token": "none", "namespace": self.rendered.namespace, "ca.crt": CERTIFICATE}.items():
            (path / key).write_text(text)
        return path

    def image(self, here):
        """The image of the manifest, or the same as it is called where it was built."""
        named = self.container["image"]
        return named if named in here else named.rpartition("/")[2]

    def command(self, prefix, network, here=()):
        context, security = self.spec["securityContext"], self.container["securityContext"]
        limits = self.container["resources"]["limits"]
        line = ["docker", "run", "--detach", "--name", f"{prefix}-{self.name}", "--network", network]
        for alias in self.names():
            line += ["--network-alias", alias]
        line += ["--user", f"{context['runAsUser']}:{context['runAsGroup']}", "--group-add", str(context["fsGroup"])]
        if security["readOnlyRootFilesystem"]:
            line.append("--read-only")
        for capability in security["capabilities"]["drop"]:
            line += ["--cap-drop", capability]
        if not security["allowPrivilegeEscalation"]:
            line += ["--security-opt", "no-new-privileges"]
        line += ["--memory", limits["memory"].replace("Mi", "m").replace("Gi", "g"), "--cpus", limits["cpu"].removesuffix("m")]
        for key, value in sorted(self.environment().items()):
            line += ["--env", f"{key}={value}"]
        for mount in self.mounts():
            line += mount
        if "command" in self.container:
            line += ["--entrypoint", self.container["command"][0]]
        return [*line, self.image(here), *self.container.get("command", ())[1:], *self.container.get("args", ())]


def secrets_of(rendered, made):
    """The Secrets of a folder, under the names they have there and without their suffix: its own, or such as
    k8s/secrets makes."""
    own = {}
    for each in rendered.of("Secret"):
        values = {key: base64.b64decode(value).decode() for key, value in each["data"].items()}
        own[name(each)] = own[plain_name(each)] = values
    return own or made


# Nobody's: only so that the file can be read. Made with `openssl req -x509 -newkey ed25519 -nodes -subj /CN=none`.
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBNDCB56ADAgECAhRNGeUQkeMaSU1T9k6jrW5+fU+lJjAFBgMrZXAwDzENMAsG
A1UEAwwEbm9uZTAgFw0yNjExMjExOTI0NTFaGA8yMTI2MTAyODE5MjQ1MVowDzEN
MAsGA1UEAwwEbm9uZTAqMAUGAytlcAMhACv48wCIO2Pp+trwqbDK8xMK997Vb07A
FXLeTcs0fXWjo1MwUTAdBgNVHQ4EFgQUKY5z/NjX5it43k/lqn0xHz/g5ZowHwYD
VR0jBBgwFoAUKY5z/NjX5it43k/lqn0xHz/g5ZowDwYDVR0TAQH/BAUwAwEB/zAF
BgMrZXADQQCMnhtiQ44qCBXuRZKcwG7yM5yvAHeMmJoYUmVYLQ8XeEQP+okazw/X
uO/PEo46I0ZzLNBYxdAVUWgn3PqhuPUN
-----END CERTIFICATE-----
"""
