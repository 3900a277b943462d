"""Manifests are read as their files have them, and a field has the line that it is written on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import ConfigError
from harness.kubernetes.manifests import Manifest, manifests_in, read

FILE = Path("shop.yaml")

TWO = """\
# The shop.
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: mine}
spec:
  ports:
    - port: 80
      name: http
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: page
data:
  index: |
    a
    --- b
"""


def found(text: str) -> list[Manifest]:
    return list(read(text, FILE))


def test_each_document_is_one_object_with_its_own_text() -> None:
    """With its comments and in its own words: the server sees what the author wrote."""
    service, page = found(TWO)

    assert ("v1", "Service", "mine", "shop") == (
        service.version, service.kind, service.namespace, service.name,
    )  # fmt: skip
    assert ("ConfigMap", "", "page") == (page.kind, page.namespace, page.name)
    first, second = TWO.split("---\n", 1)
    assert (first, "---\n" + second) == (service.text, page.text)


def test_a_key_that_is_there_twice_is_sent_twice() -> None:
    """Only the server can then refuse it: a parser keeps the last one."""
    text = "kind: Service\nspec:\n  type: ClusterIP\n  type: NodePort\n"

    (service,) = found(text)

    assert text == service.text


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("", 2),
        ("spec.ports[0].name", 8),
        (".spec.ports[0].nodePort", 7),
        ('spec.ports[name="http"].port', 6),
        ("status", 2),
    ],
)
def test_a_field_is_at_its_line_or_at_that_of_what_is_around_it(field: str, line: int) -> None:
    service, _ = found(TWO)

    assert f"shop.yaml:{line}" == service.at(field)


def test_the_objects_of_a_list_are_taken_out_of_it() -> None:
    """A list is no object of the server."""
    items = [{"kind": "Service", "metadata": {"name": name}} for name in ("a", "b")]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})

    one, other = found(text)

    assert ["a", "b"] == [one.name, other.name]
    assert items == [json.loads(each.text) for each in (one, other)]


def test_empty_documents_are_no_objects() -> None:
    assert [] == found("---\n# nothing\n---\n")


def test_a_folder_is_read_as_kubectl_does(tmp_path: Path) -> None:
    """Its YAML and JSON files by name, without hidden ones and folders below."""
    for name in ("b.yml", "a.yaml", "c.json", ".d.json", "d.yaml.example", "below/e.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'{{"kind": "{name}"}}')

    assert ["a.yaml", "b.yml", "c.json"] == [each.kind for each in manifests_in([tmp_path])]


def test_a_chart_is_refused_with_the_command_that_renders_it(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("name: shop")

    with pytest.raises(ConfigError, match="is a chart") as caught:
        manifests_in([tmp_path])

    assert f"helm template NAME {tmp_path} | dapr-harness validate k8s -" in caught.value.hint


def test_a_folder_without_manifests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"no manifest was found in {tmp_path}"):
        manifests_in([tmp_path])


def test_what_is_not_yaml_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"shop.yaml:2: not valid YAML"):
        found("kind: Service\nspec: a: b\n")
