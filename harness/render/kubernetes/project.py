"""Manifests and a chart in their folder: writing and comparing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from harness.core.names import require_hosts
from harness.core.rendered import Rendered
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.render.kubernetes.objects import API_TOKEN, APP_TOKEN, Objects
from harness.render.kubernetes.values import ChartValues, Values

MANIFESTS, CHART = "manifests", "chart"
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
stringData:
{rows}
---
apiVersion: v1
kind: Secret
metadata:
  name: {name}-{api}
stringData:
  token: {{{{ required "set secrets.daprApiToken" .Values.secrets.daprApiToken | quote }}}}
---
apiVersion: v1
kind: Secret
metadata:
  name: {name}-{app}
stringData:
  token: {{{{ required "set secrets.appApiToken" .Values.secrets.appApiToken | quote }}}}
{{{{- end }}}}
"""
VALUES = """\
# Values of an installation. With `existingSecrets`, create the three Secrets yourself, as shown in
# manifests/secrets.yaml.example.
"""


class KubernetesProject(Rendered):
    """Manifests and a Helm chart of a topology.

    Args:
        topology: the topology they describe.
        settings: the project's root; its folder name is the system's name unless `name` is given.
        folder: where they are.
        name: the name of the system.
    """

    def __init__(self, topology: Topology, settings: Settings, folder: Path, name: str) -> None:
        self._topology = topology
        self._root = settings.root
        self._name = name
        super().__init__(folder, "dapr-harness render k8s")

    def rendered(self) -> dict[str, str]:
        """The expected contents of the files, by name.

        Raises:
            ConfigError: a node's name cannot be the name of a host.
        """
        require_hosts(node.name for node in self._topology.nodes)
        return {**self._manifests(), **self._chart()}

    def _manifests(self) -> dict[str, str]:
        values = Values()
        objects, files = self._described(MANIFESTS, values)
        files[f"{MANIFESTS}/secrets.yaml.example"] = EXAMPLE + values.dump(self._secrets(objects))
        return files

    def _described(self, folder: str, values: Values) -> tuple[Objects, dict[str, str]]:
        objects = Objects(self._topology, self._root, self._name, values)
        described = objects.files().items()
        return objects, {
            f"{folder}/{name}.yaml": NOTE + values.dump(each) for name, each in described
        }

    def _secrets(self, objects: Objects) -> list[dict[str, object]]:
        def secret(name: str, keys: Sequence[str]) -> dict[str, object]:
            return {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
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
        chosen = {
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
