"""Manifests and a chart in their folder: writing and comparing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from harness.core.errors import ConfigError
from harness.core.names import require_hosts
from harness.core.rendered import Rendered
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.manifests.objects import Objects
from harness.manifests.values import ChartValues, Values
from harness.manifests.workload import API_TOKEN, APP_TOKEN

MANIFESTS, CHART = "manifests", "chart"
NAMESPACE = "00-namespace.yaml"
"""`kubectl apply -f` goes by the names of files, and nothing can be created before it."""

NOTE = (
    "# Rendered by `dapr-harness render k8s`; a test compares it with the topology. Do not edit.\n"
)
VERSION = "0.1.0"
EXAMPLE = """\
# Secrets that the manifests refer to. Fill them in and apply this file; do not commit it.
# In a cluster with an operator for secrets, have it create these three instead.
"""
TEMPLATE = """\
{{{{- if not .Values.existingSecrets }}}}
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: {{{{ .Release.Namespace | quote }}}}
stringData:
{rows}
---
apiVersion: v1
kind: Secret
metadata:
  name: {name}-{api}
  namespace: {{{{ .Release.Namespace | quote }}}}
stringData:
  token: {{{{ required "set secrets.daprApiToken" .Values.secrets.daprApiToken | quote }}}}
---
apiVersion: v1
kind: Secret
metadata:
  name: {name}-{app}
  namespace: {{{{ .Release.Namespace | quote }}}}
stringData:
  token: {{{{ required "set secrets.appApiToken" .Values.secrets.appApiToken | quote }}}}
{{{{- end }}}}
"""
VALUES = """\
# Values of an installation; docs/kubernetes.md describes each. With `existingSecrets`, create the
# three Secrets yourself, as shown in manifests/secrets.yaml.example. Where a broker or a database
# has `egress`, this is a rule of a NetworkPolicy: it must contain the port of its address, and `to`
# can limit where that is.
"""
RESERVED = (
    "image", "replicas", "autoscaling", "resources", "envFrom", "sidecar", "networkPolicy",
    "existingSecrets", "secrets",
)  # fmt: skip
"""Values that are not those of a node, in the order of values.yaml."""


class KubernetesProject(Rendered):
    """Manifests and a Helm chart of a topology.

    Args:
        topology: the topology they describe.
        settings: the project's root; its folder name is the system's name unless `name` is given.
        folder: where they are.
        name: the name of the system.
        namespace: the namespace of the manifests; by default, the system's name.
    """

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        folder: Path,
        name: str,
        namespace: str = "",
    ) -> None:
        self._topology = topology
        self._root = settings.root
        self._name = name
        self._namespace = namespace or name
        super().__init__(folder, "dapr-harness render k8s")

    def rendered(self) -> dict[str, str]:
        """The expected contents of the files, by name.

        Raises:
            ConfigError: a node's name cannot be the name of a host, or is the name of a value; or
                the topology has virtual time.
        """
        self._topology.require_alone()
        names = [node.name for node in self._topology.nodes]
        require_hosts(names)
        if taken := sorted({*names} & {*RESERVED}):
            raise ConfigError(
                f"the chart has a value named {taken[0]!r}, like a node of the topology",
                expected=f"a node that is not named {', '.join(RESERVED)}",
                hint="rename the node",
            )
        return {**self._manifests(), **self._chart()}

    def _manifests(self) -> dict[str, str]:
        values = Values()
        objects, files = self._described(MANIFESTS, values)
        files[f"{MANIFESTS}/{NAMESPACE}"] = NOTE + values.dump([self._namespace_object()])
        files[f"{MANIFESTS}/secrets.yaml.example"] = EXAMPLE + values.dump(self._secrets(objects))
        return files

    def _namespace_object(self) -> dict[str, object]:
        """Only among the manifests: Helm creates the namespace that it installs into."""
        labels = {
            "app.kubernetes.io/part-of": self._name,
            # The apps meet `restricted`. Whether sidecars do depends on how Dapr was installed.
            "pod-security.kubernetes.io/enforce": "baseline",
        }
        metadata = {"name": self._namespace, "labels": labels}
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    def _described(self, folder: str, values: Values) -> tuple[Objects, dict[str, str]]:
        objects = Objects(self._topology, self._root, self._name, self._namespace, values)
        described = objects.files().items()
        return objects, {
            f"{folder}/{name}.yaml": NOTE + values.dump(each) for name, each in described
        }

    def _secrets(self, objects: Objects) -> list[dict[str, object]]:
        def secret(name: str, keys: Sequence[str]) -> dict[str, object]:
            return {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": self._namespace},
                "stringData": dict.fromkeys(keys, ""),
            }

        tokens = [secret(f"{self._name}-{each}", ["token"]) for each in (API_TOKEN, APP_TOKEN)]
        return [secret(self._name, objects.secret_keys()), *tokens]

    def _chart(self) -> dict[str, str]:
        values = ChartValues()
        objects, files = self._described(f"{CHART}/templates", values)
        keys = objects.secret_keys()
        rows = "\n".join(
            f'  {key}: {{{{ required "set secrets.{key}" .Values.secrets.{key} | quote }}}}'
            for key in keys
        )
        files[f"{CHART}/templates/secrets.yaml"] = NOTE + TEMPLATE.format(
            name=self._name, rows=rows, api=API_TOKEN, app=APP_TOKEN
        )
        first = [name for name in RESERVED if name in values.defaults]
        chosen = {
            **{name: values.defaults[name] for name in first},
            **values.defaults,
            "existingSecrets": False,
            "secrets": dict.fromkeys([*keys, "daprApiToken", "appApiToken"], ""),
        }
        files[f"{CHART}/values.yaml"] = NOTE + VALUES + yaml.safe_dump(chosen, sort_keys=False)
        files[f"{CHART}/Chart.yaml"] = NOTE + yaml.safe_dump(self._about(), sort_keys=False)
        return files

    def _about(self) -> dict[str, str]:
        return {
            "apiVersion": "v2",
            "name": self._name,
            "description": f"{self._name}: its apps with their Dapr sidecars and resources",
            "type": "application",
            "version": VERSION,
            "appVersion": VERSION,
        }
