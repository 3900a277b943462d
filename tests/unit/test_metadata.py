"""What a version of Dapr knows, read from the sources of its modules."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.commands import app
from harness.dapr.known import known_in, pinned
from harness.dapr.lint import check_resources
from harness.dapr.resources import read_file
from harness.provision.metadata import write_tables
from harness.provision.store import Store

COMPONENT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: x}}
spec: {{type: {kind}, version: v1, metadata: [{{name: colour, value: Blue}}], more: 1}}
"""

METADATA = """
type: state
name: cloud
version: v1
metadata:
- {name: colour, type: string, required: true, allowedValues: [Red, Blue]}
- {name: depth, type: number}
"""

VERSIONS = """\
	stateLoader.DefaultRegistry.RegisterComponentWithVersions("snow", components.Versioning{
		Preferred: components.VersionConstructor{
			Version: "v2", Constructor: two.New,
		},
		Default: "v2",
	})
"""

RAIN = """
type: bindings
name: rain
version: v1
metadata: [{name: drops, type: number}]
"""

UNREGISTERED = """
type: state
name: dream
version: v1
metadata: []
"""

SPEC: dict[str, object] = {name: {} for name in ("type", "version", "metadata", "more")}
SCHEMA = {
    "type": "object",
    "description": "words",
    "properties": {
        "apiVersion": {}, "kind": {}, "metadata": {},
        "spec": {"type": "object", "properties": SPEC},
    },
}  # fmt: skip


def sources(folder: Path) -> tuple[Path, Path]:
    """The two modules of a Dapr that knows one documented type and one undocumented one."""
    dapr, contrib = folder / "dapr", folder / "contrib"
    texts = {
        dapr / "cmd/daprd/components/state_cloud.go": 'RegisterComponent(cloud.New, "cloud/v1")',
        dapr / "cmd/daprd/components/state_own.go": "//go:build state_own\n"
        'RegisterComponent(own.New, "own")',
        dapr / "cmd/daprd/components/bindings_rain.go": "//go:build allcomponents\n"
        'RegisterOutputBinding(rain.New, "rain", "drizzle")',
        dapr / "cmd/daprd/components/state_snow.go": VERSIONS,
        dapr / "cmd/daprd/components/pubsub_fog.go": 'RegisterComponent(fog.New, "fog")',
        dapr / "pkg/injector/annotations/annotations.go":
            'KeyX = "dapr.io/x"\nKeyPort = "dapr.io/port"\nKeyOn = "dapr.io/on"',
        dapr / "pkg/injector/patcher/sidecar.go":
            'Port int32 `annotation:"dapr.io/port" default:"80"`\n'
            'On *bool `annotation:"dapr.io/on"`',
        dapr / "charts/dapr/crds/components.yaml": yaml.safe_dump(
            {"spec": {"names": {"kind": "Component"},
                      "versions": [{"name": "v1alpha1", "schema": {"openAPIV3Schema": SCHEMA}}]}}
        ),
        contrib / "state/cloud/metadata.yaml": METADATA,
        contrib / "bindings/rain/metadata.yaml": RAIN,
        contrib / "state/dream/metadata.yaml": UNREGISTERED,
    }  # fmt: skip
    for file, text in texts.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return dapr, contrib


def test_the_tables_hold_the_facts_of_the_sources(tmp_path: Path) -> None:
    """Types with their fields, schemas without descriptions."""
    write_tables(*sources(tmp_path), tmp_path)

    known = known_in(tmp_path)

    assert {
        "state.cloud", "pubsub.fog", "bindings.rain", "bindings.drizzle", "state.snow",
    } == set(known.types)  # fmt: skip
    assert known.types["bindings.rain"] == known.types["bindings.drizzle"]
    assert ["drops"] == known.types["bindings.drizzle"]["v1"]["fields"]
    assert {"v2": {}} == known.types["state.snow"]
    assert {} == known.types["pubsub.fog"]
    assert {
        "required": ["colour"], "profiles": [], "fields": ["colour", "depth"],
        "types": {"depth": "number"}, "values": {"colour": ["Blue", "Red"]},
    } == known.types["state.cloud"]["v1"]  # fmt: skip
    assert {
        "dapr.io/x": {"type": "string"},
        "dapr.io/port": {"type": "int", "default": "80"},
        "dapr.io/on": {"type": "bool"},
    } == known.schemas["annotations"]
    assert "description" not in known.schemas["Component/v1alpha1"]


def test_resources_are_checked_against_the_version_that_is_given(tmp_path: Path) -> None:
    """A type, and a field of the frame, that one version has and the pinned one has not."""
    write_tables(*sources(tmp_path), tmp_path)
    file = tmp_path / "c.yaml"
    file.write_text(COMPONENT.format(kind="state.cloud"))
    resources = list(read_file(file))

    by_that = check_resources(resources, None, None, None, known_in(tmp_path))
    by_the_pinned = check_resources(resources, None, None, None)

    assert [] == [each.message for each in by_that]
    told = [each.message for each in by_the_pinned]
    assert ["unknown type 'state.cloud'" in each for each in told].count(True) == 1
    assert ["no field 'spec.more'" in each for each in told].count(True) == 1
    assert by_the_pinned == check_resources(resources, None, None, None, pinned())


def test_lint_checks_against_the_version_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With metadata that lie beside those of other versions; without the option the pinned ones."""
    monkeypatch.setenv("DAPR_HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("DAPR_HARNESS_OFFLINE", "true")
    found = sources(tmp_path)
    Store(tmp_path / "cache").make(
        "dapr-9.9.9-metadata", lambda target: write_tables(*found, target)
    )
    file = tmp_path / "c.yaml"
    file.write_text(COMPONENT.format(kind="state.cloud"))

    def linted(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["lint", str(file), *arguments])
        return done.exit_code, done.output + str(done.exception or "")

    assert 0 == linted("--dapr-version=9.9.9")[0]
    assert 2 == linted()[0]
    assert "unknown type 'state.cloud'" in linted()[1]
    assert "metadata of Dapr 9.9.8 is not installed" in linted("--dapr-version=9.9.8")[1]
